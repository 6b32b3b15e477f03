// GrainStore: a directory of grains, named by their SHA-256, that survives restarts and may hold
// grains of several models. Grains put one after another lie one after another, so that several are
// read by one request.
//
//   DIR/lock                     held while the store is open
//   DIR/segments/000017.grains   grains back to back, each a whole number of pages of 4 KiB
//   DIR/index                    where each grain lies (grain_index.h)
//   DIR/writes                   how much was written (write_ledger.h)
//   DIR/manifests/HEX            signed manifests of the pools this worker belongs to
//
// What lies on disk is not trusted: readers of a grain compare the XXH3 in its record before they
// use the bytes, and the digest itself is compared when a grain enters and by the scrub. (One
// core of an AMD Zen 4: XXH3 19 GB/s, SHA-256 1.8 GB/s with SHA instructions, which old processors
// do not have.) After a crash of the process all grains are there but the one that was being
// written; a power cut takes what was not flushed.
//
// One thread calls the store, and one process at a time has it open (a lock file). Other threads
// may call read_at() of the files in the places it returns, also while grains are put and removed:
// who reads a place whose grain is removed meanwhile gets other bytes, and verify() says so.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/log_sink.h"
#include "engine/base/storage.h"
#include "engine/experts/grain_index.h"
#include "engine/experts/segment_space.h"
#include "engine/experts/write_ledger.h"

namespace potluck {

// Where a grain's bytes stand. Grains of one file with offset + bytes == the next one's offset can
// be read together.
struct GrainPlace {
  const ReadableFile* file = nullptr;  // ReadMode::kDirect; open while the store is
  uint64_t offset = 0;                 // a multiple of 4096, as are the bytes
  uint64_t bytes = 0;
  uint64_t checksum = 0;  // grain_checksum() of the bytes
};

// XXH3, 64 bits. Any thread.
uint64_t grain_checksum(ByteSpan grain);

struct ScrubResult {
  uint64_t bytes_read = 0;
  bool round_complete = false;        // every grain was looked at since the last time this was true
  std::vector<Digest> lost;           // altered or unreadable, and forgotten
  std::vector<std::string> findings;  // a sentence for each of them
};

class GrainStore {
 public:
  // Opens or creates the store. What the index says and the segments cannot hold is dropped, and so
  // is what the segments hold and no entry of the index names; see take_notices(). `quota_bytes`
  // bounds charged_bytes(); a store that holds more keeps it and takes nothing new. kRefused if the
  // store is already open elsewhere.
  // The clock of `rules`, if there is one, must outlive the store.
  static Result<std::unique_ptr<GrainStore>> open(Storage& storage, std::string directory,
                                                  uint64_t quota_bytes,
                                                  const WriteRules& rules = {});
  // Flushes.
  ~GrainStore();

  bool contains(const Digest& digest) const { return records_.contains(digest); }
  // Whether it holds a grain of this name and length. Another length is the asker's mistake.
  bool contains(const Digest& digest, uint64_t bytes) const;
  // Of all grains, in the order in which they lie.
  std::vector<Digest> digests() const;
  uint64_t used_bytes() const { return used_bytes_; }  // of grains
  // What counts against the quota: grains, pages in quarantine, and what set_other_bytes() said.
  uint64_t charged_bytes() const { return used_bytes_ + quarantined_bytes_ + other_bytes_; }
  uint64_t quota_bytes() const { return quota_bytes_; }
  uint64_t quarantined_bytes() const { return quarantined_bytes_; }
  // What lies in the directory beside the grains and counts with them: manifests.
  void set_other_bytes(uint64_t bytes) { other_bytes_ = bytes; }
  uint64_t other_bytes() const { return other_bytes_; }
  // What put() would still take: within the quota, of what the disk has left, and of what may be
  // written today.
  uint64_t room_bytes() const;
  // What bounds that, for people elsewhere: it names no path.
  std::string what_limits_room() const;
  size_t count() const { return records_.size(); }
  // What was written to the disk, ever and today, and what may be.
  const WriteLedger& writes() const { return writes_; }
  // Something else in the directory was written: a manifest.
  void note_written(uint64_t bytes) { writes_.wrote(bytes); }

  // A file of the store to measure the disk on; null while there is none.
  const ReadableFile* sample_file();

  // kNotFound when the store has no such grain, or its segment is gone; else what opening the
  // segment failed with: kLimit when this process has too many files open.
  Result<GrainPlace> find(const Digest& digest);

  // Compares bytes that were read with the grain's checksum. If they differ, the grain is forgotten
  // and kCorrupt names file and offset; its pages are not used again before a scrub has been round.
  // kInvalidArgument for another length than the grain's: nothing was read wrongly, and nothing
  // happens to the grain.
  Status verify(const Digest& digest, ByteSpan bytes);

  // find(), read and verify() in one. `out` has the grain's length; memory of any alignment. kIo
  // and kLimit leave the grain where it is.
  Status read(const Digest& digest, MutableByteSpan out);

  // Checks the length (a positive multiple of 4096 within limits::kGrainBytes), the digest
  // (kCorrupt if it differs), the quota and the free space (kLimit), then writes. A grain that is
  // there already is left as it is. After kLimit the store is as it was.
  Status put(const Digest& digest, ByteSpan grain);
  // Without comparing the digest: for who has just computed it from these bytes.
  Status put_trusted(const Digest& digest, ByteSpan grain);

  // Forgets a grain that cannot be read as one that was altered: its pages are not used again
  // before a scrub has been round. Nothing happens if it is not there.
  void distrust(const Digest& digest);
  // Grains that were found altered or were distrusted since the last call, the scrub's left out.
  std::vector<Digest> take_lost() { return std::exchange(lost_, {}); }

  // To be asked when a read or a write has failed with kIo: whether the disk is still there at all,
  // or a memory card was pulled out, say. Looks at the disk. If it is not, grains are lost to their
  // users but not forgotten, and nothing is dropped or written before reconnect() was successful.
  bool reachable();
  bool gone() const { return gone_; }
  // True once after it was found to be gone.
  bool take_gone() { return std::exchange(gone_untold_, false); }
  // Looks whether it is back, and opens its files anew: places that find() gave are no longer
  // valid.
  bool reconnect();

  // Removes a grain and gives its space back; nothing happens if it is not there.
  void remove(const Digest& digest);

  // What was put and removed so far survives a power cut. Happens by itself every kFlushBytes.
  Status flush();
  static constexpr uint64_t kFlushBytes = 64 * kMiB;

  // Reads grains, in the order in which they lie, until `most_bytes` are read (at least one grain),
  // and compares their SHA-256; continues where the last call ended.
  ScrubResult scrub(uint64_t most_bytes);

  // What people should know and no caller was told; empties the list.
  std::vector<LogEvent> take_notices();

 private:
  struct Segment {
    std::unique_ptr<ReadableFile> file;  // opened at the first use
    bool unsynced = false;
  };
  struct Place {
    PageRun run;
    Digest digest;
  };

  GrainStore(Storage& storage, std::string directory, uint64_t quota_bytes,
             const WriteRules& rules);
  Status open_files();
  bool answers();
  Status adopt_segments();
  Status cut_or_remove(uint32_t segment, uint32_t pages, uint32_t used_pages);
  void warn_of_nameless(const std::vector<PageRun>& removed);

  Status check_size(const Digest& digest, ByteSpan grain) const;
  Status check_room(uint64_t bytes) const;
  Result<PageRun> find_space(uint32_t pages);
  Status write(const Digest& digest, ByteSpan grain, const PageRun& run);
  Result<WritableFile*> writer(uint32_t segment);
  Result<const ReadableFile*> reader(uint32_t segment);
  void forget(const Digest& digest);
  void give_back(const PageRun& run);
  Error drop_altered(const Digest& digest, const std::string& found);
  void quarantine(const Digest& digest);
  void report_loss(const Digest& digest);
  Error wrong_length(const Digest& digest, uint64_t wanted) const;
  std::string segment_path(uint32_t number) const;
  void warn(std::string text, std::vector<LogField> fields);

  bool next_scrubbed_segment();
  void scrub_grain(const Place& place, ScrubResult* result);

  Storage& storage_;
  std::string directory_;
  uint64_t quota_bytes_;
  WriteLedger writes_;
  uint64_t used_bytes_ = 0;
  uint64_t quarantined_bytes_ = 0;
  uint64_t other_bytes_ = 0;
  std::unique_ptr<StorageLock> lock_;
  std::unique_ptr<GrainIndex> index_;
  GrainRecords records_;
  std::map<uint32_t, Segment> segments_;
  SegmentSpace space_;
  std::unique_ptr<WritableFile> writer_;  // of one segment at a time
  uint32_t writer_segment_ = 0;
  uint64_t unsynced_bytes_ = 0;
  std::vector<PageRun> quarantine_;  // of altered grains
  std::vector<Digest> lost_;
  bool gone_ = false;
  bool gone_untold_ = false;
  std::vector<LogEvent> notices_;

  std::vector<Place> to_scrub_;  // of one segment, last first
  uint32_t next_scrubbed_ = 0;   // segment
  size_t quarantined_before_round_ = 0;
};

}  // namespace potluck
