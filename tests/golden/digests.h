// SHA-256 of what the plain runs of invariance_test.cpp give: logits after the prompt, then the
// greedy tokens. They belong to version 1 of the arithmetic contract; whoever changes one of them
// changes the contract, and with it what workers of different builds can compute together.
#pragma once

namespace potluck::test::digests {

inline constexpr char kQwen3[] = "dcb6c1ba9dc8cdfce775632451798d95e5b141013c774db5da125458aa197fdc";
inline constexpr char kQwen3Moe[] =
    "34825a83d30dcdf246f98e8cb292b17ad0a56abc05ddc8a7fc18c7a9ae529022";
inline constexpr char kStorytellerQ4KM[] =
    "5771a21dbdf7857d5ae14a6db3f433bfe0fc69f0cb3abc1d854c4958499e2a59";
inline constexpr char kStorytellerQ80[] =
    "6fb7c87e7dde8fedd9ae38d369ddd24dc7cd921b0afc5c3bf5710e51c1c48ca3";

}  // namespace potluck::test::digests
