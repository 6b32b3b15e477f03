// Every bound on what a file, a peer or a user may ask for, each with its reason. Nothing from
// outside sizes, indexes or names anything before it was compared with one of these or with what
// is really there.
#pragma once

#include <cstdint>

#include "engine/base/bytes.h"

namespace potluck::limits {

// --- Model files -------------------------------------------------------------------------------
// ggml's own bound on a tensor's rank; a file that says more was not written for it.
inline constexpr uint32_t kTensorDimensions = 4;
// ggml cuts names at 63 characters plus the zero; ten times that leaves room for other writers.
inline constexpr uint64_t kNameBytes = 640;
// Metadata and tensor list of one file. The largest vocabularies with their merges take some
// 20 MiB; in memory a metadata array may take up to eight times its size in the file.
inline constexpr uint64_t kModelHeaderBytes = 128 * kMiB;
// The longest strings in real files are chat templates (tens of KiB).
inline constexpr uint64_t kMetadataStringBytes = 16 * kMiB;
// Alignment is a power of two; 32 is usual, more than a huge page is nonsense.
inline constexpr uint64_t kAlignment = 64 * kKiB;
// Split files: "-00001-of-00999".
inline constexpr uint32_t kSplitFiles = 999;

// --- Models ------------------------------------------------------------------------------------
// Twice to eight times what the largest published models use (Kimi K3, Qwen3.5, DeepSeek V3).
inline constexpr uint32_t kLayers = 1024;
inline constexpr uint32_t kExperts = 4096;
inline constexpr uint32_t kExpertsUsed = 64;
inline constexpr uint32_t kHidden = 64 * 1024;
inline constexpr uint32_t kExpertWidth = 256 * 1024;
inline constexpr uint32_t kHeads = 1024;
inline constexpr uint32_t kHeadDimension = 2048;
inline constexpr uint32_t kVocabulary = 4 * 1024 * 1024;
// Positions are 32-bit on the wire and exact in float32's 24-bit mantissa up to here.
inline constexpr uint32_t kContext = 16 * 1024 * 1024;

// --- Experts -----------------------------------------------------------------------------------
// A grain is aimed at 256 KiB to 1 MiB; a chunk of the widest layer we accept stays below this.
inline constexpr uint64_t kGrainBytes = 64 * kMiB;
inline constexpr uint32_t kSlices = 64;
// 48 bytes a grain: the manifest of a 600 GB model has about a million grains.
inline constexpr uint64_t kManifestBytes = 256 * kMiB;

// --- The wire ----------------------------------------------------------------------------------
// One compute message carries at most this many token rows (a prefill chunk of several sessions).
inline constexpr uint32_t kRowsPerMessage = 4096;
// Calls (row, unit) in one message: rows x the experts used x slices, within reason.
inline constexpr uint32_t kCallsPerMessage = 1024 * 1024;
// Largest frame: 4096 rows of 8-byte sums for hidden 8192 would be 256 MiB; packed it is far less.
inline constexpr uint64_t kFrameBytes = 512 * kMiB;
// The header of a control message; compute headers are bounded by kCallsPerMessage.
inline constexpr uint64_t kHeaderBytes = 32 * kMiB;
inline constexpr uint64_t kTextBytes = 4096;  // human-readable text in a message
inline constexpr uint32_t kWorkers = 256;
// Workers named as holders of one unit: enough to spread the load of a join over.
inline constexpr uint32_t kHoldersPerUnit = 8;
// Workers that one may have fetched from while others came and went.
inline constexpr uint32_t kSourcesPerReport = 4 * kWorkers;
// Bulk data is sent in parts so that one large grain cannot hold a socket for long.
inline constexpr uint64_t kBulkPartBytes = 4 * kMiB;

// --- Users -------------------------------------------------------------------------------------
inline constexpr uint64_t kPromptBytes = 64 * kMiB;
inline constexpr uint32_t kThreads = 256;
inline constexpr uint32_t kPrefillChunk = 4096;  // = kRowsPerMessage: a chunk is one message

}  // namespace potluck::limits
