// The bounds of CoreDNS's histograms, so that its dashboards show ours.
// https://github.com/coredns/coredns/blob/master/plugin/metrics/vars/vars.go
#pragma once

namespace portolan::dns {

// Seconds: 0.25 ms, doubled 15 times (plugin/metrics.go, TimeBuckets).
inline constexpr double kTimeBuckets[] = {0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008,
                                          0.016,   0.032,  0.064, 0.128, 0.256, 0.512,
                                          1.024,   2.048,  4.096, 8.192};

// Bytes of a message.
inline constexpr double kSizeBuckets[] = {0,    100,  200,  300,   400,   511,   1023,
                                          2047, 4095, 8291, 16000, 32000, 48000, 64000};

}  // namespace portolan::dns
