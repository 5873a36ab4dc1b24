// The breaker's transitions one by one, and random schedules against the rules of breaker.h.
#include "npu/breaker.h"

#include <gtest/gtest.h>

#include <set>

#include "base/rng.h"

namespace graupel::npu {
namespace {

constexpr BreakerOptions kOptions = {.failures_to_break = 3,
                                     .first_wait_ns = 100,
                                     .longest_wait_ns = 450,
                                     .probe_limit_ns = 50,
                                     .successes_to_forget = 4};

Breaker healthy() {
  const Admission first = admit({}, kOptions, 0);
  EXPECT_EQ(first.path, Path::kProbe);
  EXPECT_EQ(first.breaker.health, Health::kProbing);
  return succeeded(first.breaker, kOptions, first.breaker.epoch);
}

TEST(Breaker, FailuresInARowBreakASuccessHeals) {
  Breaker b = healthy();
  EXPECT_EQ(b.health, Health::kHealthy);
  b = failed(b, kOptions, 1, Reason::kFailed, 10);
  EXPECT_EQ(b.health, Health::kSuspect);
  EXPECT_EQ(admit(b, kOptions, 10).path, Path::kDevice);
  EXPECT_EQ(succeeded(b, kOptions, 1).health, Health::kHealthy);
  b = failed(b, kOptions, 1, Reason::kFailed, 11);
  EXPECT_EQ(b.health, Health::kSuspect);
  b = failed(b, kOptions, 1, Reason::kFailed, 12);
  EXPECT_EQ(b.health, Health::kBroken);
  EXPECT_EQ(b.retry_at_ns, 112);
  EXPECT_EQ(admit(b, kOptions, 111).path, Path::kCpu);
  EXPECT_EQ(admit(b, kOptions, 112).path, Path::kProbe);
}

TEST(Breaker, DeadStreamsBreakAtOnce) {
  for (const Reason reason : {Reason::kTimeout, Reason::kHung, Reason::kAborted}) {
    EXPECT_EQ(failed(healthy(), kOptions, 1, reason, 0).health, Health::kBroken);
  }
}

TEST(Breaker, TheWaitDoublesUpToItsCapAndIsForgottenAfterGoodWork) {
  Breaker b = failed(healthy(), kOptions, 1, Reason::kHung, 0);
  TimeNs now = 0;
  for (const TimeNs wait : {100, 200, 400, 450, 450}) {
    EXPECT_EQ(b.wait_ns, wait);
    EXPECT_EQ(b.retry_at_ns, now + wait);
    now = b.retry_at_ns;
    const Admission probe = admit(b, kOptions, now);
    ASSERT_EQ(probe.path, Path::kProbe);
    b = failed(probe.breaker, kOptions, probe.breaker.epoch, Reason::kNoDevice, now);
  }
  const Admission probe = admit(b, kOptions, b.retry_at_ns);
  b = succeeded(probe.breaker, kOptions, probe.breaker.epoch);
  EXPECT_EQ(failed(b, kOptions, b.epoch, Reason::kHung, 0).wait_ns, 450);
  for (int i = 0; i < 4; ++i) b = succeeded(b, kOptions, b.epoch);
  EXPECT_EQ(failed(b, kOptions, b.epoch, Reason::kHung, 0).wait_ns, 100);
}

TEST(Breaker, AProbeThatTakesTooLongIsGivenUp) {
  const Admission probe = admit({}, kOptions, 0);
  EXPECT_EQ(admit(probe.breaker, kOptions, 49).path, Path::kCpu);
  const Admission late = admit(probe.breaker, kOptions, 50);
  EXPECT_EQ(late.path, Path::kGiveUp);
  EXPECT_EQ(late.breaker.health, Health::kBroken);
  // The probe ends well after all: too late to count.
  EXPECT_EQ(succeeded(late.breaker, kOptions, 1), late.breaker);
}

TEST(Breaker, WhatAnEarlierDeviceSaysDoesNotJudgeTheNextOne) {
  Breaker b = failed(healthy(), kOptions, 1, Reason::kHung, 0);
  b = admit(b, kOptions, 100).breaker;
  b = succeeded(b, kOptions, 2);
  EXPECT_EQ(failed(b, kOptions, 1, Reason::kHung, 101), b);
  EXPECT_EQ(succeeded(b, kOptions, 1), b);
}

TEST(Breaker, EveryReasonHasAWordOfItsOwn) {
  std::set<std::string_view> names;
  for (int i = 0; i < kReasonCount; ++i) names.insert(to_string(static_cast<Reason>(i)));
  EXPECT_EQ(names.size(), static_cast<size_t>(kReasonCount));
}

// Random calls, successes, failures and late news of earlier devices on a played clock: a broken
// device is never asked, at most one probe is under way, and waits stay within their bounds.
TEST(Breaker, KeepsItsRulesUnderTenThousandRandomSchedules) {
  for (uint64_t seed = 0; seed < 10000; ++seed) {
    Rng rng(seed);
    Breaker b;
    TimeNs now = 0, broken_until = 0;
    for (int step = 0; step < 60; ++step) {
      now += static_cast<TimeNs>(rng.below(80));
      const Breaker before = b;
      const Admission admission = admit(b, kOptions, now);
      b = admission.breaker;
      if (before.health == Health::kBroken) {
        ASSERT_EQ(admission.path, now < broken_until ? Path::kCpu : Path::kProbe);
      } else if (before.health == Health::kProbing) {
        ASSERT_TRUE(admission.path == Path::kCpu || admission.path == Path::kGiveUp);
        ASSERT_EQ(b.epoch, before.epoch);
      } else {
        ASSERT_EQ(admission.path, Path::kDevice);
      }
      const uint64_t epoch = b.epoch - (rng.below(4) == 0 ? 1 : 0);
      const Breaker asked = b;
      const auto reason = static_cast<Reason>(1 + rng.below(kReasonCount - 1));
      switch (rng.below(3)) {
        case 0: b = succeeded(b, kOptions, epoch); break;
        case 1: b = failed(b, kOptions, epoch, reason, now); break;
        default: break;
      }
      if (epoch != asked.epoch) {
        ASSERT_EQ(b, asked);
      }
      if (b.health == Health::kBroken && asked.health != Health::kBroken) {
        ASSERT_GE(b.wait_ns, kOptions.first_wait_ns);
        ASSERT_LE(b.wait_ns, kOptions.longest_wait_ns);
      }
      if (b.health == Health::kBroken) broken_until = b.retry_at_ns;
      if (b.health == Health::kSuspect) {
        ASSERT_LT(b.failures, kOptions.failures_to_break);
      }
    }
  }
}

}  // namespace
}  // namespace graupel::npu
