// Every cache's layout as a few files in memory, and what names mean there.
#include "coordinator/models/model_search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/models/hub_address.h"
#include "engine/base/memory_storage.h"

namespace potluck {
namespace {

using testing::HasSubstr;

const std::string kBlobDigest(64, 'b');

class ModelSearch : public testing::Test {
 protected:
  void add(const std::string& path, const std::string& content = "GGUF") {
    const std::string folder = path.substr(0, path.find_last_of('/'));
    ASSERT_TRUE(storage_.make_directories(folder));
    ASSERT_TRUE(storage_.write_atomic(path, as_bytes(content)));
  }
  Result<FoundModel> find(const std::string& text) {
    return find_model(storage_, places(), text, kUsualHub);
  }
  std::string path_of(const std::string& text) {
    auto found = find(text);
    return found ? found->path() : found.error().message;
  }
  static std::vector<ModelPlace> places() {
    return {{PlaceKind::kOwn, "/own"},
            {PlaceKind::kHub, "/hub"},
            {PlaceKind::kLlama, "/llama"},
            {PlaceKind::kLmStudio, "/studio"},
            {PlaceKind::kOllama, "/ollama"}};
  }
  // As Ollama writes them.
  void add_ollama(const std::string& path, const std::string& digest, uint64_t bytes) {
    add("/ollama/manifests/" + path,
        R"({"schemaVersion":2,"layers":[{"mediaType":"application/vnd.ollama.image.template",)"
        R"("digest":"sha256:00","size":1},{"mediaType":"application/vnd.ollama.image.model",)"
        R"("digest":")" +
            digest + R"(","size":)" + std::to_string(bytes) + "}]}");
  }

  MemoryStorage storage_;
};

TEST_F(ModelSearch, TakesPathsFirst) {
  add("u/r-Q4_K_M.gguf");
  add("/own/u/r-Q4_K_M.gguf/x.gguf");
  EXPECT_EQ(path_of("u/r-Q4_K_M.gguf"), "u/r-Q4_K_M.gguf");
  EXPECT_THAT(path_of("/no/such.gguf"), HasSubstr("/no/such.gguf: no such file"));
}

TEST_F(ModelSearch, TakesAFolderWithOneModel) {
  add("/one/m-00001-of-00002.gguf");
  add("/one/m-00002-of-00002.gguf");
  add("/one/README.md");
  add("/two/a.gguf");
  add("/two/b-Q4_K_M.gguf");
  add("/none/x.bin");
  auto one = find("/one");
  ASSERT_TRUE(one);
  EXPECT_EQ(one->path(), "/one/m-00001-of-00002.gguf");
  EXPECT_EQ(one->paths.size(), 2u);
  EXPECT_EQ(one->place, "");
  auto two = find("/two");
  ASSERT_FALSE(two);
  EXPECT_THAT(two.error().message, HasSubstr("a.gguf"));
  EXPECT_THAT(two.error().message, HasSubstr("b-Q4_K_M.gguf"));
  EXPECT_THAT(path_of("/none"), HasSubstr("no GGUF file"));
}

TEST_F(ModelSearch, FindsHuggingFaceSnapshots) {
  const std::string repo = "/hub/models--u--some-GGUF";
  add(repo + "/refs/main", "c2\n");
  add(repo + "/snapshots/c1/m-Q4_K_M.gguf");
  add(repo + "/snapshots/c2/m-Q4_K_M.gguf");
  add(repo + "/snapshots/c1/m-Q8_0.gguf");
  add(repo + "/snapshots/c2/UD/m-IQ2_M-00001-of-00002.gguf");
  add(repo + "/blobs/abc.incomplete");
  EXPECT_EQ(path_of("u/some-GGUF"), repo + "/snapshots/c2/m-Q4_K_M.gguf");
  EXPECT_EQ(path_of("u/some-gguf:q8_0"), repo + "/snapshots/c1/m-Q8_0.gguf");
  EXPECT_EQ(path_of("https://huggingface.co/u/some-GGUF/resolve/main/m-Q8_0.gguf"),
            repo + "/snapshots/c1/m-Q8_0.gguf");
  auto broken = find("u/some-GGUF:IQ2_M");
  ASSERT_TRUE(broken);
  EXPECT_EQ(broken->trouble, "part 2 of 2 is missing");
  auto other = find("u/some-GGUF:Q2_K");
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message, HasSubstr("potluck pull u/some-GGUF:QUANT"));
  const ModelCatalog catalog = read_catalog(storage_, places());
  EXPECT_THAT(catalog.models,
              testing::Contains(testing::Field(&FoundModel::trouble, HasSubstr("not finished"))));
}

TEST_F(ModelSearch, FindsLlamaCppsFiles) {
  add("/llama/u_my_repo_m-Q8_0.gguf");
  add("/llama/manifest=u=my_repo=latest.json", "{}");
  add("/llama/other_thing_x-Q4_0.gguf");
  add("/llama/u_my_repo_y.gguf.downloadInProgress");
  EXPECT_EQ(path_of("u/my_repo:Q8_0"), "/llama/u_my_repo_m-Q8_0.gguf");
  EXPECT_EQ(path_of("other/thing"), "/llama/other_thing_x-Q4_0.gguf");
}

TEST_F(ModelSearch, FindsLmStudiosAndItsOwn) {
  add("/studio/u/r/m-Q8_0.gguf");
  add("/own/u/r2/sub/m-Q8_0.gguf");
  EXPECT_EQ(path_of("u/r"), "/studio/u/r/m-Q8_0.gguf");
  EXPECT_EQ(path_of("u/r2:Q8_0"), "/own/u/r2/sub/m-Q8_0.gguf");
  EXPECT_THAT(path_of("m-Q8_0"), HasSubstr("several models have this name"));
  add("/own/u/r/m-Q8_0.gguf");
  EXPECT_EQ(path_of("u/r:Q8_0"), "/own/u/r/m-Q8_0.gguf") << "its own first";
}

TEST_F(ModelSearch, FindsOllamasModels) {
  add("/ollama/blobs/sha256-" + kBlobDigest);
  add_ollama("registry.ollama.ai/library/gpt-oss/20b", "sha256:" + kBlobDigest, 4);
  add_ollama("registry.ollama.ai/someone/tuned/latest", "sha256:" + kBlobDigest, 4);
  add_ollama("hf.co/u/r/Q4_K_M", "sha256:" + kBlobDigest, 4);
  add_ollama("registry.ollama.ai/library/cut/latest", "sha256:" + kBlobDigest, 5);
  const std::string blob = "/ollama/blobs/sha256-" + kBlobDigest;
  EXPECT_EQ(path_of("gpt-oss:20b"), blob);
  EXPECT_EQ(path_of("someone/tuned"), blob);
  EXPECT_EQ(path_of("u/r:Q4_K_M"), blob);
  auto cut = find("cut");
  ASSERT_TRUE(cut);
  EXPECT_EQ(cut->trouble, "expected 5 bytes, found 4");
}

TEST_F(ModelSearch, LetsNoManifestNameAPath) {
  add("/etc/passwd");
  add_ollama("registry.ollama.ai/library/evil/latest", "sha256:../../../etc/passwd", 4);
  add("/ollama/manifests/registry.ollama.ai/library/junk/latest", "not JSON");
  for (const char* name : {"evil", "junk"}) {
    auto found = find(name);
    ASSERT_TRUE(found) << name;
    EXPECT_NE(found->trouble, "") << name;
  }
}

TEST_F(ModelSearch, SaysWhereItLookedAndWhatIsSimilar) {
  add("/own/Qwen/Qwen3-30B-A3B-GGUF/Qwen3-30B-A3B-Q4_K_M.gguf");
  auto found = find("nobody/qwen3-30b");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(found.error().message, HasSubstr("similar: Qwen/Qwen3-30B-A3B-GGUF:Q4_K_M"));
  EXPECT_THAT(found.error().message, HasSubstr("/ollama (Ollama)"));
  EXPECT_THAT(found.error().message, HasSubstr("potluck pull nobody/qwen3-30b"));
  EXPECT_EQ(path_of("Qwen3-30B-A3B-Q4_K_M"),
            "/own/Qwen/Qwen3-30B-A3B-GGUF/Qwen3-30B-A3B-Q4_K_M.gguf");
}

TEST_F(ModelSearch, KnowsWhatWasPulledFromAnAddress) {
  const std::string address = "https://example.org/some/where/m.gguf?token=x";
  EXPECT_THAT(path_of(address), HasSubstr("potluck pull"));
  EXPECT_THAT(path_of(address), testing::Not(HasSubstr("token")));
  add("/own/" + place_of_address(address));
  EXPECT_EQ(path_of(address), "/own/" + place_of_address(address));
  EXPECT_NE(place_of_address("https://h/a/b-c/m.gguf"), place_of_address("https://h/a-b/c/m.gguf"));
}

TEST(ModelPlaces, FollowTheVariablesOfTheirPrograms) {
  std::map<std::string, std::string> variables;
  auto read = [&](const char* name) -> std::optional<std::string> {
    auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
  auto has = [&](PlaceKind kind, const std::string& directory) {
    for (const ModelPlace& place : model_places("/home/u", "/own", read)) {
      if (place.kind == kind && place.directory == directory) return true;
    }
    return false;
  };
  EXPECT_TRUE(has(PlaceKind::kHub, "/home/u/.cache/huggingface/hub"));
  EXPECT_TRUE(has(PlaceKind::kLlama, "/home/u/.cache/llama.cpp"));
  EXPECT_TRUE(has(PlaceKind::kOllama, "/home/u/.ollama/models"));
  EXPECT_TRUE(has(PlaceKind::kLmStudio, "/home/u/.lmstudio/models"));
  variables["XDG_CACHE_HOME"] = "/cache/";
  EXPECT_TRUE(has(PlaceKind::kHub, "/cache/huggingface/hub"));
  variables["HF_HOME"] = "~/hf";
  EXPECT_TRUE(has(PlaceKind::kHub, "/home/u/hf/hub"));
  EXPECT_EQ(hub_token_files("/home/u", read), std::vector<std::string>{"/home/u/hf/token"});
  variables["HF_HUB_CACHE"] = "/big/hub";
  EXPECT_TRUE(has(PlaceKind::kHub, "/big/hub"));
  variables["LLAMA_CACHE"] = "/big/llama";
  EXPECT_TRUE(has(PlaceKind::kLlama, "/big/llama"));
  EXPECT_TRUE(has(PlaceKind::kHub, "/big/llama"));
  variables["OLLAMA_MODELS"] = "/big/ollama";
  EXPECT_TRUE(has(PlaceKind::kOllama, "/big/ollama"));
}

}  // namespace
}  // namespace potluck
