package observe

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Trace is the way of one packet through a chain.
type Trace struct {
	Time    time.Time // when it left the chain; zero in a [Replay]
	Steps   []Step    // the programs it met, in their order
	Verdict xdp.Verdict
	// DecidedBy is the program whose verdict it is. It is nil if the last program gave
	// one of its chain call actions, and the dispatcher itself said XDP_PASS.
	DecidedBy *xdp.Loaded
	Length    int    // of the packet as the chain left it, in bytes
	Data      []byte // its first bytes
}

// Step is what one program said.
type Step struct {
	xdp.Loaded
	Verdict xdp.Verdict
}

// SnapLen is how many of a packet's bytes a [Live] trace holds at most. Of a packet in several
// buffers it holds what lies in the first one.
const SnapLen = 4096

// packetConfig is config of bpf/probe/packet.bpf.c.
type packetConfig struct {
	Alone, Verdicts, Deciders, Sample uint32
	Tid, Programs                     uint32
	PidnsDev, PidnsIno                uint64
	Ingress                           ingress
}

// stepConfig is config of bpf/probe/step.bpf.c.
type stepConfig struct {
	Slot, First uint32
	Ingress     ingress
}

// ingress is struct ingress of bpf/probe/trace.h.
type ingress struct {
	Netns, Untyped uint32
	Ifindex        [8]uint32
}

// ingressOf are the interfaces whose packets meet the programs of this one. If they are too
// many for the probes to compare, the probes take packets of all interfaces.
func ingressOf(index int) (in ingress, err error) {
	var stat unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &stat); err != nil {
		return in, os.NewSyscallError("stat", err)
	}
	in.Netns = uint32(stat.Ino)
	all := append([]int{index}, mastered()[index]...)
	if len(all) > len(in.Ifindex) {
		return in, nil
	}
	for i, index := range all {
		in.Ifindex[i] = uint32(index)
	}
	return in, nil
}

// Where the fields of struct event of bpf/probe/packet.bpf.c are.
const (
	eventFinal    = 8
	eventSeen     = eventFinal + 4
	eventVerdict  = eventSeen + 4
	eventLength   = eventVerdict + 4*xdp.MaxPrograms
	eventCaptured = eventLength + 4
	eventData     = eventCaptured + 4
)

// tracer holds the probes on one chain, as it was at one time.
type tracer struct {
	chain    *dispatcher.Chain
	programs []xdp.Loaded // by slot
	probes   []*probed
	ring     *libbpf.RingBuffer // nil for a Replay
	packet   *probed
	alone    bool // a component program in the dispatcher's own place
}

// newTracer prepares to attach probes. whole is the program that each packet of the chain comes
// to, and that it leaves the chain by.
func newTracer(c *dispatcher.Chain) (t *tracer, whole xdp.Loaded, err error) {
	t = &tracer{chain: c}
	switch {
	case c.Legacy != nil:
		t.programs = []xdp.Loaded{*c.Legacy}
	case c.Hardware != nil:
		return nil, whole, &xdp.Error{Kind: xdp.ErrModeNotSupported,
			Msg: fmt.Sprintf("the program on %s runs on the device, where the kernel can't trace it", c.Interface.Name)}
	default:
		for _, p := range c.Programs {
			t.programs = append(t.programs, p.Loaded)
		}
		t.alone = len(t.programs) == 1
	}
	if len(t.programs) == 1 {
		return t, t.programs[0], nil
	}
	return t, *main(c), nil
}

// trace attaches the probes. Each packet that config selects goes to f, but for those of test
// runs. Nothing is told before all probes stand.
func trace(c *dispatcher.Chain, config packetConfig, f func(*Trace)) (_ *tracer, err error) {
	t, whole, err := newTracer(c)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	if len(t.programs) == 1 {
		config.Alone = 1
	}
	if config.Ingress, err = ingressOf(c.Interface.Index); err != nil {
		return nil, err
	}
	config.Programs = 0
	for i, p := range t.programs {
		if p.ID != 0 { // else its slot is empty
			config.Programs |= 1 << i
		}
	}
	if t.packet, err = t.attach("packet", "packet", whole, config, nil); err != nil {
		return nil, err
	}
	if config.Alone == 0 {
		shared := map[string]int{"ways": t.packet.mapFD("ways"), "gate": t.packet.mapFD("gate")}
		first := uint32(1)
		for i, p := range t.programs {
			if p.ID == 0 {
				continue
			}
			if _, err := t.attach("step", "step", p, stepConfig{uint32(i), first, config.Ingress}, shared); err != nil {
				return nil, err
			}
			first = 0
		}
	}
	return t, t.begin(f)
}

// traceArrivals attaches a probe that tells f of each packet as it comes to the chain. The Trace
// has no steps and no verdict.
func traceArrivals(c *dispatcher.Chain, f func(*Trace)) (_ *tracer, err error) {
	t, whole, err := newTracer(c)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	var config packetConfig
	if config.Ingress, err = ingressOf(c.Interface.Index); err != nil {
		return nil, err
	}
	if t.packet, err = t.attach("packet", "arrival", whole, config, nil); err != nil {
		return nil, err
	}
	return t, t.begin(f)
}

// begin has the probes, which all stand now, tell of packets. f is nil if no ring buffer is read.
func (t *tracer) begin(f func(*Trace)) (err error) {
	if f != nil {
		t.ring, err = libbpf.NewRingBuffer(t.packet.mapFD("events"), func(record []byte) { f(t.decodeLive(record)) })
		if err != nil {
			return err
		}
	}
	one := binary.NativeEndian.AppendUint32(nil, 1)
	return libbpf.MapUpdate(t.packet.mapFD("gate"), make([]byte, 4), one, libbpf.UpdateAny)
}

// attach attaches one of the probes, a program of an object. If the argument of the program to
// isn't declared as a packet, the verifier refuses the probe. Then attach tries again with one
// that finds the interface in another way.
func (t *tracer) attach(object, program string, to xdp.Loaded, config any, shared map[string]int) (p *probed, err error) {
	for _, untyped := range []uint32{0, 1} {
		switch c := config.(type) {
		case packetConfig:
			c.Ingress.Untyped = untyped
			config = c
		case stepConfig:
			c.Ingress.Untyped = untyped
			config = c
		}
		p, err = probe{object: object, programs: []string{program}, config: config, shared: shared}.attach(to)
		if err == nil || dispatcher.VerifierLog(err) == "" {
			break
		}
	}
	if err == nil {
		t.probes = append(t.probes, p)
	}
	return p, err
}

// bootTime is when CLOCK_MONOTONIC, which stamps the events, showed 0.
func bootTime() time.Time {
	var ts unix.Timespec
	now := time.Now()
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // every Linux has that clock
	return now.Round(0).Add(-time.Duration(ts.Nano()))
}

func (t *tracer) decodeLive(record []byte) *Trace {
	length := binary.NativeEndian.Uint32(record[eventLength:])
	captured := binary.NativeEndian.Uint32(record[eventCaptured:])
	result := &Trace{
		// The clock may be set while the trace goes on.
		Time:   bootTime().Add(time.Duration(binary.NativeEndian.Uint64(record))),
		Length: int(length),
		Data:   slices.Clone(record[eventData : eventData+captured]),
	}
	t.decode(result, record)
	return result
}

// decode sets what the programs said, in the memory that result has.
func (t *tracer) decode(result *Trace, event []byte) {
	word := func(at int) uint32 { return binary.NativeEndian.Uint32(event[at:]) }
	result.Verdict = xdp.Verdict(word(eventFinal))
	result.Steps = result.Steps[:0]
	for i, p := range t.programs {
		if word(eventSeen)&(1<<i) != 0 {
			result.Steps = append(result.Steps, Step{p, xdp.Verdict(word(eventVerdict + 4*i))})
		}
	}
	result.DecidedBy = nil
	if n := len(result.Steps); n > 0 && result.Steps[n-1].Verdict == result.Verdict {
		result.DecidedBy = &result.Steps[n-1].Loaded
	}
}

// told is struct told of bpf/probe/packet.bpf.c.
type told struct{ packets, missed, lost uint64 }

func (t *told) add(u told) {
	t.packets += u.packets
	t.missed += u.missed
	t.lost += u.lost
}

// told is what the probes say of the packets they saw, of all CPUs.
func (t *tracer) told() (told, error) {
	var sum told
	cpus, err := libbpf.NumPossibleCPUs()
	if err != nil {
		return sum, err
	}
	value := make([]byte, 3*8*cpus)
	if err := libbpf.MapLookup(t.packet.mapFD("told"), make([]byte, 4), value); err != nil {
		return sum, err
	}
	for cpu := range slices.Chunk(value, 3*8) {
		sum.packets += binary.NativeEndian.Uint64(cpu)
		sum.missed += binary.NativeEndian.Uint64(cpu[8:])
		sum.lost += binary.NativeEndian.Uint64(cpu[16:])
	}
	left, err := t.packet.missed() // by the kernel
	if err != nil {
		return sum, err
	}
	sum.packets += left
	sum.missed += left
	return sum, nil
}

func (t *tracer) detach() {
	for _, p := range t.probes {
		p.detach()
	}
}

func (t *tracer) close() error {
	t.detach()
	err := t.ring.Close()
	for _, p := range t.probes {
		p.close()
	}
	return err
}
