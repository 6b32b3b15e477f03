// SHA-256 of the header of each message of sample_messages(), in that order. What a change of one
// kind of message does to the others' bytes shows here: nothing. A row is replaced only with the
// schema of its message, and what that means for older peers (docs/PROTOCOL.md, versions).
#pragma once

#include <string_view>

namespace potluck::test {

struct WireDigest {
  std::string_view message;
  std::string_view digest;
};

inline constexpr WireDigest kWireDigests[] = {
    {"Hello", "781bb15154f1fd172db3636bd838962abd14be59f54eb259d0f233d562ea167c"},
    {"Hello", "4ec7ede3e124f8b42dbce0d6b11606d995cf7bc7d99e1d80693ac9db6099b7bb"},
    {"Hello", "3f3a27a4bbff784d6012ea84d5e6221199ce23d078e9ef55d4411019503c5611"},
    {"Welcome", "ab4427b60f0b5d045f3437e136ccb91fc43e1443484717d50e8a16e28ab57bc2"},
    {"Welcome", "04f16144f40ebfbca59a6793beacdba6ef01637900f9c17e8ef921561aa75f30"},
    {"Refusal", "9636c41529f907ca7ea2a69af0143a998196d5c1cab8a0e778c592877b7d1d45"},
    {"Refusal", "9da1e2b49d994c2c2eddde353e56f07f5905462642374c7a75469fc7dcb2aa5e"},
    {"Assignment", "30aa19e0795e0af5cb7b052357926ebfdab9450538e8419c5e7d9b41a45e9173"},
    {"Assignment", "089ab25aa1131f9282bd04c22b2686616ff58e819f685607d57722a2da86ae54"},
    {"Residency", "41716c083cb9a647dd022669dbf389b897f943612d209a1cc067afda7b220668"},
    {"Residency", "6308a994d5a059288e2a17487f48e69d7befcf1ebcb426bd2b190188a4546d29"},
    {"Residency", "77153c590afde804fad053f7cfd678a8657e42dab5e104f6fafdec7401975ab3"},
    {"Residency", "5c50505d49a9b5bcd56c2bc7e5d564e037b5320cfd810821f9c980cd51f7b572"},
    {"Heartbeat", "89fe06a981a1c2ccba8d76c8988aa83bc9c29f27c23a780af2f5b667df8e5509"},
    {"Heartbeat", "07a98fead91aa4ef670627f619528c4b220e4a0d3c1db088b8ba485ed0822360"},
    {"Goodbye", "069cb726d06cad7596d5fe6110de763f6f42c517ddffd2228b5112788703c33e"},
    {"Goodbye", "4c3d847171cd2c57252844b815e4d3bc729b31c3bc6be5882124b2bb4bdd0427"},
    {"FetchManifest", "a60f54a2310a61ef253bb9febad02283a62c52414dfb93f31b41012c94a072d8"},
    {"FetchManifest", "fdf5ba50037fab00f97347c970b26fecaa77306fd2e08f3de8fd4116c915f978"},
    {"FetchGrain", "37e1b170bfb533582df5124695487c6fb85cc7c7b3dd87ba9980d30e0dca23ba"},
    {"FetchGrain", "0fca6ca8aa69ceb7ab4bdacd2777b1cad986d8283c6d516b1faa55c903b674a6"},
    {"BulkData", "504e9537ca3803159513387949003be92ba513aa5f9107578933fb89913a3422"},
    {"BulkData", "170548981e41948112cd727dbb33949f0cf1b991053d6d284468f75a27c8dd00"},
    {"JoinRequest", "e1efb042750173019016a067269ce181368020c3e4e4b5ace88bb3610cfc14aa"},
    {"JoinRequest", "cf936be614a050e17c464b6200b0c5b542133f8984caff1350fd1936e9c3bd12"},
    {"JoinAccept", "ffee4bf63efa583ac2537153709ebcbc6e3e0c566143ea0881b962906ebbad65"},
    {"Compute", "33f19c5879321c4b3d8449b7daa109c05b63067f6e8fcd8004685857deb08a48"},
    {"Compute", "d112798d685ac454f03dc6ae957be4886aa4498a56848b7efbd3e51174c27871"},
    {"Compute", "dbea8e92b2ff2be3bc3da4819e766c3a4b532630fc90bff3e0d1f092a9d23067"},
    {"Compute", "09bb3f988aafe7b8449422715fbef13d044e0e297cb71ad122443f1184fa80c7"},
    {"Partial", "d83c283d78dc8931ce8067318b09a486e5c94d73a28af433c29db460cc081426"},
    {"Partial", "93ca175d878a3a6277db9aa626c31838ddc8b020227f307f34eebea8afe1cc65"},
    {"Roster", "2dc03caf9679680e60551a7db690be8e69d48730cdd201da41e9bb25c8350550"},
    {"Roster", "13f8fcf0f2f63619ea0ecb97a2aa5fb0af55270e93211e8f2bbdf7e5955744f7"},
    {"Roster", "e08e918a7bfe04ba4d625b97be272da9a37313163bd005e90c047bf1e83fcf89"},
    {"Assignment", "ec4596c14780dc0c9a758ddeece138ca032b2533f1182c11a2dd41e800ee0389"},
    {"Assignment", "c95485fc34cb69268aeedbb70bc07d09bda6f46ad85bd1c35bbf77b50076cd07"},
    {"SourceReport", "116176c5c5d640eea6f7a166f9815030fd9d26ffd80aa2c5335abd13a4001cf0"},
    {"SourceReport", "d1a9375fb69c43153fc1d26d21e8c6657ebcf5c5e280991fc8d43084b71a29c2"},
    {"SourceReport", "4ece8c9fb6113d198cff8f21e32166450c82ca0c338fb3a472331f7ead1a45f7"},
    {"HealthReport", "f603678a36ae304042a5637c6dc9b8034d12c0f92fd8353e5788869b5f086783"},
    {"HealthReport", "adde992806386681c488aa3fc8f2491f61574a4693538052d5da5d94b9f7983f"},
    {"HealthReport", "414c26cc60765270d7566d03d2b4ea90d9c6f3ad45fc6dd8b07df089c35e03c5"},
    {"HealthReport", "a7ccdbc3fdbce2ce5129dc0c588f03c66929b81880f1961218abb0dfa3499a52"},
    {"DeviceSpeed", "69c860f3ec85d041668c1d4a49250505774a5f3261147cf4bc0749c252d9b6d9"},
    {"DeviceSpeed", "f42eb8a03a04ef144b2980941c595c60638805a46ba0b309216eac6712a27f3c"},
    {"DeviceSpeed", "790268dc14a5e4847a0ccf69cc85cbebd3719829cded723f5c5717edf7c10755"},
    {"JoinAccept", "fc3b5bac5d8aeb05200db5a45809389ca3ce93030cef8dad450c2fc5c94b8404"},
    {"PairRequest", "d972dceb9eca0ab08a6093dcb362e1d12fdca68e1240181fd2024c54b32f5c6d"},
    {"PairRequest", "b72431bce16ea60d3354ab64135db0e6f14211156c9e0547ac985ec948fe9052"},
    {"PairChallenge", "7599edb0c0b0d218638150e104bb38159a24041f2fbdd18291e18d2741de839d"},
    {"PairChallenge", "5aeb2f90a2f29faa994f504f3120bed337b238a4b0cdc389a3d87ad1879bf632"},
    {"PairReveal", "6f26c6da4d6ac860e2966147f57f401ff23f6041843be70e3eebf4ccdcbc01aa"},
    {"PairPending", "595649bc1c13f7a294f39d1d35984c0d722efe8cc6d666b3561292bcc205aedc"},
    {"Goodbye", "aba8d6513c45bee8ecf9f5e3cf36579f4e604b6ac3e3bbb1f974f21e44f4d536"},
    {"PairPending", "f3e7920ebc793a7e07f341b1bb5a9c1fda51f9d54700fae6eb0288f1ea0828ad"},
};

}  // namespace potluck::test
