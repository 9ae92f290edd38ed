package libbpf

/*
#include "shim.h"
*/
import "C"

import "time"

// TestRunOptions says what a test run does (struct bpf_test_run_opts).
type TestRunOptions struct {
	Data      []byte // the packet
	Out       []byte // where the packet goes as the program leaves it; nil: nowhere
	Context   []byte // struct xdp_md to start with; nil: none
	Repeat    int    // how often; 0: once
	Flags     uint32 // BPF_F_TEST_XDP_LIVE_FRAMES and others
	BatchSize int    // frames in flight, for live frames; 0: the kernel's choice
}

// TestRunResult is how a test run ended.
type TestRunResult struct {
	Return   uint32        // the last verdict
	Data     []byte        // the packet as the last run left it: the part of Out that it fills
	Size     int           // its length in bytes, also where Out is too short
	Context  []byte        // struct xdp_md as the last run left it
	Duration time.Duration // of one run, the mean of all
}

// TestRun runs a loaded program on a packet, without an interface. ENOSPC: the packet got
// longer than Out; the result is there all the same. It stands for bpf_prog_test_run_opts.
func TestRun(fd int, opts TestRunOptions) (*TestRunResult, error) {
	ctx := make([]byte, len(opts.Context))
	run := C.struct_xm_test_run{
		in_size: C.__u32(len(opts.Data)), out_size: C.__u32(len(opts.Out)),
		ctx_in_size: C.__u32(len(opts.Context)), ctx_out_size: C.__u32(len(ctx)),
		repeat: C.__u32(opts.Repeat), flags: C.__u32(opts.Flags), batch: C.__u32(opts.BatchSize),
	}
	err := check("bpf_prog_test_run_opts", C.xm_prog_test_run(C.int(fd), &run,
		bytesPtr(opts.Data), bytesPtr(opts.Out), bytesPtr(opts.Context), bytesPtr(ctx)))
	return &TestRunResult{
		Return:   uint32(run.retval),
		Data:     opts.Out[:min(len(opts.Out), int(run.out_size))],
		Size:     int(run.out_size),
		Context:  ctx[:min(len(ctx), int(run.ctx_out_size))],
		Duration: time.Duration(run.duration),
	}, err
}
