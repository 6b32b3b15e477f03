// SHA-256 of what the plain runs of invariance_test.cpp give: logits after the prompt, then the
// greedy tokens. They belong to version 1 of the arithmetic contract (docs/ARITHMETIC.md, 10);
// a change to one of them changes the contract, and with it which builds can compute together.
#pragma once

namespace potluck::test::digests {

// Tiny models of every architecture, each with what the transformers library computes from it:
// folders of tests/data/arch. Of "gpt-oss", YaRN's range is not rounded to whole pairs; llama.cpp
// rounds it and differs.
struct FixtureDigest {
  const char* fixture;
  const char* digest;
};

inline constexpr FixtureDigest kFixtureDigests[] = {
    {"afmoe", "ff4d337fbacbfec6eb723a23ec09694fdede84d0a686e2121cbaef378a7c8021"},
    {"bailingmoe2", "480162ee857eba06e53185e17a413f62b8826f09da74a7d8e84e5833f08d5a0c"},
    {"cohere2moe", "498ae916e88b0a3ac1c09390a37698b4ad239ea31be32cb8885af8d32860ac43"},
    {"deepseek-v2", "cb19a0b79a60e546600392a2a6d60920907ffcd1205fc9a1f784101669ae5ff8"},
    {"deepseek2", "66ff5bc6767e9dd518958d27633db7c26e4a0e60e6f451accc1428a1c6653a59"},
    {"deepseek2-yarn", "b515ab83b0c9949de498e47aa4ef03fc8e54bf4853c085c59a3f4f16e2f529b8"},
    {"deepseek32", "1b1b717f19ece82ce99c126c553353bdd851f1d53750f3ee4b24394454ec8f9c"},
    {"deepseek4", "a316e59291c404257359d71f1c5da37d477fd7a3077b6c5aa36ef418b9b81546"},
    {"dots1", "e26b784e28050dc1eedadb2f9fc575c602621c49989fff6f821e09942e5dd519"},
    {"ernie4_5-moe", "1971b16a318c88a353967142901c6c170394bdb9ae7b7dcdad26796c07a0e1db"},
    {"exaone-moe", "eaa0fb8add7f9c3a56690d99b155a7b2841d7fbd4dfcddc5d49c9e869bbfc149"},
    {"gemma4", "758bd44772605c0840a0fcf64ae52010710b32c70891bbc72513dae30a65f7f3"},
    {"gemma4-shared-kv", "b3997a907a3b6fb25e8b678cfd9646c84773c548e66edf17698236afb9334a52"},
    {"glm-dsa", "89f842763aea379032fd3d7c8855ef4d66a9d6c136a573078a47c7ac6d2d67b3"},
    {"glm4moe", "3bedd4121e94165ef9bcac21b883c452017bfe1a2fdd3e8a0d97e3fb20070b2f"},
    {"gpt-oss", "a45cf207762578b581a901fbe182a4f9ed1752fea52def37077fb70aa387e18d"},
    {"gpt-oss-plain", "edcb799b77b9ed19e76092606f20d12caf8db305300414161d5d9e116df592f0"},
    {"granitehybrid", "0657f1c92b09c5c252b60445699ff2b93accb4219757271a9cfd8b98b132c29a"},
    {"granitemoe", "677b6bab23d1472b7fd35c1e4e5722cedba3dec86f77c4a7f4b6b22e0ef5569b"},
    {"hunyuan-moe", "d18b08ece46e32d74096dd972385ac2067f42c2e28befe83b172dc0b27c94148"},
    {"hy_v3", "29386c015822724a45e39270f96584385143b8ae6ab7f54756abe05e3dfd0efe"},
    {"kimi-linear", "f8edd9229dbddba97a9b7054eb80d4e6d748c9cafdb6ecb085c9ee0830a4aaf6"},
    {"lfm2moe", "2fd51ccb57049d9b9e659fab48b7cb49b833aba5c52b10885834f75ed7d4e6ab"},
    {"llama", "a337203528303729307b3fee29f632f1be45dbc9fbe9a51b60a66f6fa58eb072"},
    {"llama4", "c7bb585108b4e28506c6bfe2ff62247e2ca00e9f6ff151e639cb0292ecac79a2"},
    {"mimo2", "f4220943306a482c2035be53a4d56ab45966e83bbb6679658a4ead10527d9582"},
    {"minimax-m2", "f9761036c8855731d876af6e43bb6ebfd6f08c919660ef6fe5fe8c9da0390bab"},
    {"minimax-m3", "f0af8dc73e63e783882216ebc82774ea01b25c045d61c46bc0af7ac79dff6678"},
    {"mistral4", "cd075cbe87292b84acba183c0038194d3ef52101d9f103f0c7b96a9b7fd46036"},
    {"mixtral", "cb2ac0568f4f373608f37cf69e035c9a51e477505948e0ce7379cafa0bfb040d"},
    {"nemotron_h_moe", "187b19188de0afe0da20595b0fda74c2af91c908c7fc3dec8fc2b4b2d0ff4ba9"},
    {"nemotron_h_moe-latent", "38091033f5ea10bc27bae69bc11604d47526c37248d4f10a048b53b03bc65480"},
    {"olmoe", "a49b625f03f6f10595759f0cbd9f896c98320b9f5ce511fe05995b25a3fa80e0"},
    {"phimoe-longrope-long", "ca0b0db041d92eb4e41fb15c3a436c726df2930f5513524d5cfad37e36d03567"},
    {"phimoe-longrope-short", "415c887baae61da103bd6e67c39564f2d2395ffbaed54c66eae1bb38d81c22d4"},
    {"phimoe", "bf144b1ea091f1de67e880e01146b884372d72583a879724db803fcc45577f84"},
    {"qwen2moe", "6ce77d4c480277734c0db4411d0dbfa1098a4284ec1e570a17d3774afc95f375"},
    {"qwen3", "dcb6c1ba9dc8cdfce775632451798d95e5b141013c774db5da125458aa197fdc"},
    {"qwen35moe", "599f9cabeb06c99b47e26c60ee5f139546c203745ed7cdb5515d25c1a02ee7ed"},
    {"qwen3moe", "34825a83d30dcdf246f98e8cb292b17ad0a56abc05ddc8a7fc18c7a9ae529022"},
    {"qwen3next", "3635a740f7f8ab8746d8d905c6e6889553f816363a5fba6a688a461476f3e9d9"},
    {"qwen3vlmoe", "0f2720fbd4d8ddd466e9604327baa337eb8e33d2093c019d285826621a3bcb69"},
    {"smallthinker", "40e041f0ab5efb4cf97d46f24a223d3ba1c3fd41a44408bb93a5a857efc7c99b"},
    {"step35", "46109628d6d9c4f6aea368d59a13deee414884465400f640774b53e127208460"},
};

inline constexpr char kTaletellerQ4KM[] =
    "f584d90ade1da074b5fa27dd795651a6a2575569341a2d4725db7731b2c3439e";
inline constexpr char kStorytellerQ80[] =
    "6fb7c87e7dde8fedd9ae38d369ddd24dc7cd921b0afc5c3bf5710e51c1c48ca3";

}  // namespace potluck::test::digests
