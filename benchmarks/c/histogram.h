/* Durations in log-linear buckets: constant memory, a reading is at most 1.6 % above the truth.
 *
 * A list of all durations would not do: a saturation run has tens of millions of them. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>

#define SUB_BITS 6 /* 64 buckets for each power of two: an error of at most 1/64 */
#define SUB_COUNT (1U << SUB_BITS)
#define BUCKETS ((64 - SUB_BITS + 1) * SUB_COUNT)

struct histogram {
    uint64_t counts[BUCKETS];
    uint64_t total;
    uint64_t largest;
};

static inline unsigned bucket_of(uint64_t value)
{
    if (value < SUB_COUNT)
        return (unsigned)value;
    unsigned shift = 63U - (unsigned)__builtin_clzll(value) - SUB_BITS;
    return (shift + 1) * SUB_COUNT + (unsigned)(value >> shift) - SUB_COUNT;
}

static inline uint64_t upper_bound_of(unsigned bucket)
{
    if (bucket < SUB_COUNT)
        return bucket;
    unsigned shift = bucket / SUB_COUNT - 1;
    return ((uint64_t)(bucket % SUB_COUNT + SUB_COUNT + 1) << shift) - 1;
}

static inline void record(struct histogram *histogram, uint64_t value)
{
    histogram->counts[bucket_of(value)]++;
    histogram->total++;
    if (value > histogram->largest)
        histogram->largest = value;
}

static inline uint64_t percentile(const struct histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)histogram->total), seen = 0;
    for (unsigned bucket = 0; bucket < BUCKETS; bucket++) {
        seen += histogram->counts[bucket];
        if (seen > wanted)
            return upper_bound_of(bucket) < histogram->largest ? upper_bound_of(bucket) : histogram->largest;
    }
    return histogram->largest;
}

/* `"name":{"p50":…,"p99":…,"max":…}` in microseconds, from durations recorded in nanoseconds. */
static inline void print_percentiles(const char *name, const struct histogram *histogram)
{
    printf("\"%s\":{\"p50\":%.1f,\"p99\":%.1f,\"max\":%.1f}", name, (double)percentile(histogram, 0.50) / 1e3,
           (double)percentile(histogram, 0.99) / 1e3, (double)histogram->largest / 1e3);
}

#endif
