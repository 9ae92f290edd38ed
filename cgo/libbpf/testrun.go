package libbpf

/*
#include "shim.h"
*/
import "C"

import "time"

// TestRunOptions says what a test run does (struct bpf_test_run_opts).
type TestRunOptions struct {
	Data      []byte // the packet
	OutSize   int    // bytes kept of the packet as the program leaves it
	Context   []byte // struct xdp_md to start with; nil: none
	Repeat    int    // how often; 0: once
	Flags     uint32 // BPF_F_TEST_XDP_LIVE_FRAMES and others
	BatchSize int    // frames in flight, for live frames; 0: the kernel's choice
}

// TestRunResult is how a test run ended.
type TestRunResult struct {
	Return   uint32        // the last verdict
	Data     []byte        // the packet as the last run left it, cut to OutSize
	Size     int           // its whole length in bytes
	Context  []byte        // struct xdp_md as the last run left it
	Duration time.Duration // of one run, the mean of all
}

// TestRun runs a loaded program on a packet without touching the wire. ENOSPC:
// the packet got longer than OutSize, the result is filled all the same. It
// stands for bpf_prog_test_run_opts.
func TestRun(fd int, opts TestRunOptions) (*TestRunResult, error) {
	out, ctx := make([]byte, opts.OutSize), make([]byte, len(opts.Context))
	outSize, ctxSize := C.__u32(len(out)), C.__u32(len(ctx))
	var retval, duration C.__u32
	err := check("bpf_prog_test_run_opts", C.xm_prog_test_run(C.int(fd),
		bytesPtr(opts.Data), C.__u32(len(opts.Data)), bytesPtr(out), &outSize,
		bytesPtr(opts.Context), C.__u32(len(opts.Context)), bytesPtr(ctx), &ctxSize,
		C.__u32(opts.Repeat), C.__u32(opts.Flags), C.__u32(opts.BatchSize), &retval, &duration))
	return &TestRunResult{
		Return:   uint32(retval),
		Data:     out[:min(len(out), int(outSize))],
		Size:     int(outSize),
		Context:  ctx[:min(len(ctx), int(ctxSize))],
		Duration: time.Duration(duration),
	}, err
}
