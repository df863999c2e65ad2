/* What feed.bpf.c and exec.bpf.c agree on with feeder.c. */
#ifndef FEED_H
#define FEED_H

#define FEED_PROGRAM ig_bench_feed
#define FEED_PROGRAM_NAME "ig_bench_feed"
/* First argument of a run that is meant to send events. */
#define FEED_MAGIC 0x6967666565640001ULL
/* Most events of one run. */
#define FEED_BURST 512

#endif
