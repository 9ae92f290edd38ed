package observe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Replay sends packets through the chain that is on an interface, without the wire. The
// programs really run, and their maps change as with a packet of the wire. But the packet
// comes in on receive queue 0, and what the chain transmits, redirects or passes goes
// nowhere.
type Replay struct {
	tracer *tracer
	fd     *libbpf.FD
	head   []byte // the map replayed of bpf/probe/packet.bpf.c
	trail  []byte // the map trails of bpf/probe/trace.h; nil: no points are asked for
	out    []byte
	md     []byte // struct xdp_md: the packet comes in on the chain's interface
	result Trace
}

// OpenReplay prepares to trace packets. The calling goroutine is locked to its
// thread until Close, and it alone may use the Replay.
//
// Errors: as [Open], and [xdp.ErrModeNotSupported] for an offloaded or a device-bound chain,
// which the kernel doesn't test-run.
func OpenReplay(ctx context.Context, ifname string, at At) (*Replay, error) {
	c, err := dispatcher.Status(ctx, ifname)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(notEmpty(c), c.CheckTestRun()); err != nil {
		return nil, err
	}
	return OpenReplayOf(c, nil, at)
}

// OpenReplayOf is OpenReplay for a chain that may be on no interface
// ([dispatcher.Assemble]). Packets come in on its Interface. If that has no index, they come in
// on the loopback interface. A Trace names the programs as shown does, in the order of the
// chain; nil: as they are.
func OpenReplayOf(c *dispatcher.Chain, shown []xdp.Loaded, at At) (_ *Replay, err error) {
	fd, err := c.Open(main(c).ID)
	if err != nil {
		return nil, explain(*main(c), err)
	}
	runtime.LockOSThread()
	r := &Replay{fd: fd}
	defer func() {
		if err != nil {
			r.Close()
		}
	}()
	var pidns unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &pidns); err != nil {
		return nil, err
	}
	config := packetConfig{Verdicts: allVerdicts, Deciders: allPrograms, Points: pointsOf(at), Snap: SnapLen,
		Replay: replayConfig{Tid: uint32(unix.Gettid()), PidnsDev: pidns.Dev, PidnsIno: pidns.Ino}}
	if r.tracer, err = trace(c, request{packetConfig: config}); err != nil {
		return nil, err
	}
	// Read in place: a ring buffer would take two more calls for each packet.
	if r.head, err = r.mmap("replayed", headSize); err != nil {
		return nil, err
	}
	if at == AtPrograms {
		if r.trail, err = r.mmap("trails", trailSize); err != nil {
			return nil, err
		}
	}
	r.out = make([]byte, r.MaxLen()+os.Getpagesize())
	r.md = make([]byte, mdSize)
	binary.NativeEndian.PutUint32(r.md[mdIngressIfindex:], uint32(c.Interface.Index))
	if shown != nil {
		r.tracer.programs = shown
	}
	return r, nil
}

// mmap maps the one entry of a map.
func (r *Replay) mmap(name string, size int) ([]byte, error) {
	page := os.Getpagesize()
	b, err := unix.Mmap(r.tracer.packet.mapFD(name), 0, (size+page-1)/page*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return b, os.NewSyscallError("mmap", err)
}

const (
	allVerdicts = ^uint32(0)
	allPrograms = ^uint32(0)
)

// Where the fields of struct xdp_md are.
const (
	mdDataEnd        = 4
	mdIngressIfindex = 12
	mdSize           = 24
)

// Programs are those of the chain that is traced, in the order they run.
func (r *Replay) Programs() []xdp.Loaded { return r.tracer.programs }

// MinLen is the shortest packet that a test run takes, an Ethernet header.
const MinLen = 14

// MaxLen is the longest packet that a test run takes: one that fits into a page
// with what the kernel puts around it, or into several where the chain has frags
// support.
func (r *Replay) MaxLen() int {
	const headroom, sharedInfo, maxFrags = 256, 320, 17
	limit := os.Getpagesize() - headroom - sharedInfo
	if r.tracer.chain.Frags {
		limit += maxFrags * os.Getpagesize()
	}
	return limit
}

// Run sends one packet through the chain. The result is good until the next Run;
// its Data is the whole packet as the chain left it, its Time is zero.
//
// Errors: [xdp.ErrInvalid] for a packet shorter than [MinLen] or longer
// than MaxLen.
func (r *Replay) Run(packet []byte) (*Trace, error) {
	if len(packet) < MinLen || len(packet) > r.MaxLen() {
		return nil, &xdp.Error{Kind: xdp.ErrInvalid,
			Msg:    fmt.Sprintf("a packet of %d bytes, and a test run of this chain takes %d to %d", len(packet), MinLen, r.MaxLen()),
			Remedy: "leave it out of the capture"}
	}
	binary.NativeEndian.PutUint32(r.md[mdDataEnd:], uint32(len(packet)))
	seen := r.head[headSeen:][:2]
	clear(seen)
	result, err := libbpf.TestRun(r.fd.Int(), libbpf.TestRunOptions{Data: packet, Out: r.out, Context: r.md})
	if err != nil {
		return nil, &xdp.Error{Kind: xdp.ErrSystem, Err: err, Msg: "the kernel's test run failed: " + native.Cause(err)}
	}
	if binary.NativeEndian.Uint16(seen) == 0 {
		return nil, &xdp.Error{Kind: xdp.ErrBusy,
			Msg:    "the chain's probes missed a packet of the test run",
			Remedy: "try again; if it is always so, another tracer may be in the way"}
	}
	r.tracer.decode(&r.result, r.head)
	if r.trail != nil {
		size := binary.NativeEndian.Uint32(r.head[headPoints:])
		r.tracer.decodePoints(&r.result, r.head, r.trail[headSize:][:size], time.Time{})
	}
	r.result.Data, r.result.Length = result.Data, result.Size
	return &r.result, nil
}

// Close ends the tracing.
func (r *Replay) Close() error {
	if r.fd == nil {
		return nil
	}
	defer runtime.UnlockOSThread()
	err := r.fd.Close()
	for _, b := range [][]byte{r.head, r.trail} {
		if b != nil {
			err = errors.Join(err, os.NewSyscallError("munmap", unix.Munmap(b)))
		}
	}
	if r.tracer != nil {
		r.tracer.close()
	}
	*r = Replay{}
	return err
}
