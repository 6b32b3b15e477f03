// Every bound on what a file, a peer or a user may ask for, each with its reason. Nothing from
// outside sizes, indexes or names anything before it was compared with one of these or with what
// is really there.
#pragma once

#include <cstdint>

#include "engine/base/bytes.h"
#include "engine/base/clock.h"

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
inline constexpr uint32_t kStreams = 16;              // residuals of a row; published models have 4
inline constexpr uint32_t kSinkhornIterations = 100;  // published models do 20
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
// 32 bytes a grain: DeepSeek V3 (58 layers of 256 experts) needs 7.3 MiB, Kimi K2 11.3 MiB. While
// it is fetched, a worker holds it in memory on a coordinator's word alone.
inline constexpr uint64_t kManifestBytes = 64 * kMiB;
// Reads at the device at the same time, each with a thread where io_uring is not to be had. Fast
// disks are busy with 8 to 32; more only makes each wait longer.
inline constexpr uint32_t kReadDepth = 64;
// A segment file of the store: large enough that 600 GB need only hundreds of open files, small
// enough for any file system and to be given back whole when a model goes.
inline constexpr uint64_t kSegmentBytes = 1 * kGiB;
// A store leaves this much of the disk free: a system whose disk is full cannot log, update itself
// or start programs, and flash that is full to the brim becomes slow.
inline constexpr uint64_t kDiskReserveBytes = 256 * kMiB;

// --- The wire ----------------------------------------------------------------------------------
// One compute message carries at most this many token rows (a prefill chunk of several sessions).
inline constexpr uint32_t kRowsPerMessage = 4096;
// Calls (row, unit) in one message, 7 bytes each: the experts used x slices of one row at the very
// least (4,096), and of many rows in any real model.
inline constexpr uint32_t kCallsPerMessage = 128 * 1024;
// Activations in one compute message, and the sums in its answer were nothing saved by packing. One
// row of the widest model takes 514 KiB; a large prefill is cut into several messages. Both sides
// keep to it, so the receiver knows what a message can be at most.
inline constexpr uint64_t kTensorBytes = 4 * kMiB;
// Largest frame that a worker may send on the compute channel: packed sums, with a byte for every
// 32 of them, or what it holds (6 bytes a unit). Any client that connects may send one, with
// any content, before it is authenticated, so it is small enough to hold one per guest (below).
inline constexpr uint64_t kFrameBytes = kTensorBytes + 256 * kKiB;
// The header of a control message; compute headers are bounded by kCallsPerMessage.
inline constexpr uint64_t kHeaderBytes = 32 * kMiB;
inline constexpr uint64_t kTextBytes = 4096;  // human-readable text in a message
inline constexpr uint32_t kWorkers = 1024;
// Digests of kernels in a greeting: three times the formats and functions there are.
inline constexpr uint32_t kKernelDigests = 128;
// Workers named as holders of one unit: enough to spread the load of a join over.
inline constexpr uint32_t kHoldersPerUnit = 8;
// Workers that one may have fetched from while others came and went.
inline constexpr uint32_t kSourcesPerReport = 4 * kWorkers;
// Connections to one listening socket that have not authenticated: sixteen devices may be in the
// middle of their handshakes, which takes each of them some milliseconds.
inline constexpr uint32_t kGuestConnections = 16;
// Those that have: a device that reconnects is there twice for a while.
inline constexpr uint32_t kMemberConnections = 2 * kWorkers;
// What a connection may send before it has authenticated: a handshake has less than 1 KiB.
inline constexpr uint64_t kGuestBytes = 4096;
// What one connection to the join socket may send in all: a request of at most 300 bytes a second,
// for minutes.
inline constexpr uint32_t kJoinStreamBytes = 64 * 1024;
// Descriptors that connections leave for the store's files, libzmq and the rest.
inline constexpr uint64_t kReservedDescriptors = 96;
// Bulk data is sent in parts so that one large grain cannot hold a socket for long. On slow links
// receivers ask for smaller ones.
inline constexpr uint64_t kBulkPartBytes = 512 * kKiB;
// Parts that a receiver has asked one sender for and not received yet: enough to keep a fast, long
// link busy. A sender remembers no more, and its queue holds as many.
inline constexpr uint32_t kBulkPartsAsked = 16;
// What can be asked for in parts.
inline constexpr uint64_t kBulkBytes = kManifestBytes > kGrainBytes ? kManifestBytes : kGrainBytes;

// --- Chat templates ----------------------------------------------------------------------------
// A template is a program from a stranger: it gets what a real one needs many times over, and an
// error beyond that. The longest published ones have 17 KiB.
inline constexpr uint64_t kTemplateBytes = kMiB;
// Nesting of its syntax tree; published ones stay below 40, long sums included.
inline constexpr uint32_t kTemplateDepth = 200;
// Expressions and statements under evaluation at once, over all macro calls: what the stack of a
// thread holds even in sanitizer builds.
inline constexpr uint32_t kTemplateNesting = 400;
// One step is one node evaluated, one element copied or 32 bytes of text handled; a conversation of
// a thousand messages takes about a million.
inline constexpr uint64_t kTemplateSteps = 20'000'000;
// All values alive during a rendering, the conversation's included, and one text among them.
inline constexpr uint64_t kTemplateMemory = 256 * kMiB;
inline constexpr uint64_t kTemplateTextBytes = 64 * kMiB;  // = kPromptBytes: it becomes a prompt
// Elements of range(); the bound of the template language's own sandbox.
inline constexpr uint64_t kTemplateRange = 100'000;
// JSON inside messages, tools and template arguments: schemas nest, but not like this.
inline constexpr uint32_t kJsonDepth = 64;

// --- Users -------------------------------------------------------------------------------------
inline constexpr uint64_t kPromptBytes = 64 * kMiB;
inline constexpr uint32_t kThreads = 256;
inline constexpr uint32_t kPrefillChunk = 4096;  // = kRowsPerMessage
// Simulated devices: a satellite's delay many times over, a modem's rate, a processor of the past.
// Beyond these a pool would take its workers for dead anyway.
inline constexpr Duration kSimulatedDelay = std::chrono::seconds(10);
inline constexpr uint64_t kSimulatedBytesPerSecond = 1000;
inline constexpr double kSimulatedFactor = 1000;

}  // namespace potluck::limits
