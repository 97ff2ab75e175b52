#include "tools/qkjit/jobs.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

namespace qkjit {
namespace {

constexpr unsigned kMostThreads = 8;

}  // namespace

std::vector<JobResult> run_jobs(Runtime& runtime, const std::vector<Job>& jobs, int threads,
                                const std::function<void(const JobResult&)>& done,
                                const std::function<bool()>& stop) {
  const auto not_run = fail(Code::not_ready, "not started");
  std::vector<JobResult> results;
  for (const Job& job : jobs) results.push_back({job, not_run});

  std::atomic<std::size_t> next{0};
  std::mutex reporting;
  const auto work = [&] {
    for (std::size_t i = next++; i < jobs.size() && !stop(); i = next++) {
      results[i].kernel = runtime.compile(jobs[i].spec, jobs[i].target);
      const std::lock_guard lock(reporting);
      done(results[i]);
    }
  };
  const unsigned cores = std::clamp(std::thread::hardware_concurrency(), 1u, kMostThreads);
  const std::size_t count = std::min<std::size_t>(
      threads > 0 ? static_cast<unsigned>(threads) : cores, std::max<std::size_t>(jobs.size(), 1));
  {
    std::vector<std::jthread> workers;
    for (std::size_t i = 1; i < count; ++i) workers.emplace_back(work);
    work();
  }
  return results;
}

std::vector<Job> cross(const std::vector<Spec>& specs, const std::vector<std::string>& targets) {
  std::vector<Job> jobs;
  for (const std::string& target : targets) {
    for (const Spec& spec : specs) jobs.push_back({spec, target});
  }
  return jobs;
}

}  // namespace qkjit
