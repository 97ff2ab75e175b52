#include "tools/qkjit/jobs.hpp"

#include <mutex>
#include <optional>

#include "tools/qkjit/parallel.hpp"
#include "tuning/builtin.hpp"

namespace qkjit {

std::vector<JobResult> run_jobs(Runtime& runtime, const std::vector<Job>& jobs, int threads,
                                const std::function<void(const JobResult&)>& done,
                                const std::function<bool()>& stop) {
  std::vector<std::optional<JobResult>> finished(jobs.size());
  std::mutex reporting;
  const auto work = [&](std::size_t i) {
    if (stop()) return;
    finished[i] = {jobs[i], runtime.compile(jobs[i].spec, jobs[i].variant, jobs[i].target)};
    const std::lock_guard lock(reporting);
    done(*finished[i]);
  };
  for_each_index(jobs.size(), work, threads);
  std::vector<JobResult> results;
  for (auto& result : finished) {
    if (result) results.push_back(std::move(*result));
  }
  return results;
}

std::vector<Job> cross(const std::vector<Spec>& specs, const std::vector<std::string>& targets) {
  std::vector<Job> jobs;
  for (const std::string& target : targets) {
    for (const Spec& spec : specs) {
      for (const Choice& choice : builtin_choices(spec, target)) {
        jobs.push_back({spec, choice.variant, target});
      }
    }
  }
  return jobs;
}

}  // namespace qkjit
