/* What feed.bpf.c and exec.bpf.c agree on with feeder.c. */
#ifndef FEED_H
#define FEED_H

#define FEED_PROGRAM ig_bench_feed
#define FEED_PROGRAM_NAME "ig_bench_feed"
/* First argument of a run that is meant to send events. */
#define FEED_MAGIC 0x6967666565640001ULL
/*
 * Mount namespaces that the events of one run are said to be of, in turns: the run's further arguments, two
 * in each, as a program for this hook sees only the first three.
 */
#define FEED_MNTNS 4
#define FEED_MNTNS_BITS 32
/* Most events of one run. */
#define FEED_BURST 512

#endif
