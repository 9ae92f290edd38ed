package observe

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher"
)

// Trace is the way of one packet through a chain.
type Trace struct {
	Time    time.Time // when it left the chain; of a [Replay]: zero
	Steps   []Step    // the programs it met, in their order
	Verdict dispatcher.Verdict
	// DecidedBy is the program whose verdict it is; nil: the dispatcher's own
	// XDP_PASS, after its last program gave one of its chain call actions.
	DecidedBy *dispatcher.Loaded
	Length    int    // of the packet as the chain left it, in bytes
	Data      []byte // its first bytes
}

// Step is what one program said.
type Step struct {
	dispatcher.Loaded
	Verdict dispatcher.Verdict
}

// SnapLen is how much of a packet's bytes a [Live] trace holds.
const SnapLen = 2048

// packetConfig is config of bpf/probe/packet.bpf.c.
type packetConfig struct {
	Alone, Verdicts, Deciders, Sample uint32
	Tid, _                            uint32
	PidnsDev, PidnsIno                uint64
}

// Where the fields of struct event of bpf/probe/packet.bpf.c are.
const (
	eventFinal    = 8
	eventSeen     = eventFinal + 4
	eventVerdict  = eventSeen + 4
	eventLength   = eventVerdict + 4*dispatcher.MaxPrograms
	eventCaptured = eventLength + 4
	eventData     = eventCaptured + 4
)

// tracer holds the probes on one chain, as it was at one time.
type tracer struct {
	chain    *dispatcher.Chain
	programs []dispatcher.Loaded
	probes   []*probed
	ring     *libbpf.RingBuffer // nil for a Replay
	packet   *probed
	clock    time.Time // when the kernel's clock showed 0
}

// trace attaches the probes; each packet that config selects goes to f, unless it
// is that of a test run.
func trace(c *dispatcher.Chain, config packetConfig, f func(*Trace)) (_ *tracer, err error) {
	t := &tracer{chain: c, clock: bootTime()}
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	end := main(c)
	switch {
	case c.Legacy != nil:
		t.programs = []dispatcher.Loaded{*c.Legacy}
	case c.Hardware != nil:
		return nil, &dispatcher.Error{Kind: dispatcher.ErrModeNotSupported,
			Msg: fmt.Sprintf("the program on %s runs on the device, where the kernel can't trace it", c.Interface.Name)}
	default:
		for _, p := range c.Programs {
			t.programs = append(t.programs, p.Loaded)
		}
	}
	if len(t.programs) == 1 {
		config.Alone, end = 1, &t.programs[0]
	}
	// The end of the chain first: a packet that only later probes saw is let pass.
	if t.packet, err = attach("packet", config, *end, []string{"packet"}, nil); err != nil {
		return nil, err
	}
	t.probes = append(t.probes, t.packet)
	if config.Alone == 0 {
		shared := map[string]int{"ways": t.packet.mapFD("ways")}
		for i, p := range t.programs {
			step, err := attach("step", struct{ Slot uint32 }{uint32(i)}, p, []string{"step"}, shared)
			if err != nil {
				return nil, err
			}
			t.probes = append(t.probes, step)
		}
	}
	if f != nil {
		t.ring, err = libbpf.NewRingBuffer(t.packet.mapFD("events"), func(record []byte) { f(t.decodeLive(record)) })
	}
	return t, err
}

// bootTime is when CLOCK_MONOTONIC, which stamps the events, showed 0.
func bootTime() time.Time {
	var ts unix.Timespec
	now := time.Now()
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("observe: " + err.Error()) // every Linux has that clock
	}
	return now.Round(0).Add(-time.Duration(ts.Nano()))
}

func (t *tracer) decodeLive(record []byte) *Trace {
	length := binary.NativeEndian.Uint32(record[eventLength:])
	captured := binary.NativeEndian.Uint32(record[eventCaptured:])
	result := &Trace{
		Time:   t.clock.Add(time.Duration(binary.NativeEndian.Uint64(record))),
		Length: int(length),
		Data:   slices.Clone(record[eventData : eventData+captured]),
	}
	t.decode(result, record)
	return result
}

// decode sets what the programs said, in the memory that result has.
func (t *tracer) decode(result *Trace, event []byte) {
	word := func(at int) uint32 { return binary.NativeEndian.Uint32(event[at:]) }
	result.Verdict = dispatcher.Verdict(word(eventFinal))
	result.Steps = result.Steps[:0]
	for i, p := range t.programs {
		if word(eventSeen)&(1<<i) != 0 {
			result.Steps = append(result.Steps, Step{p, dispatcher.Verdict(word(eventVerdict + 4*i))})
		}
	}
	result.DecidedBy = nil
	if n := len(result.Steps); n > 0 && result.Steps[n-1].Verdict == result.Verdict {
		result.DecidedBy = &result.Steps[n-1].Loaded
	}
}

// lost is how many packets the probes saw but couldn't tell of.
func (t *tracer) lost() uint64 {
	cpus, err := libbpf.NumPossibleCPUs()
	if err != nil {
		return 0
	}
	value := make([]byte, 8*cpus)
	if err := libbpf.MapLookup(t.packet.mapFD("lost"), make([]byte, 4), value); err != nil {
		return 0
	}
	n := t.packet.missed()
	for ; len(value) > 0; value = value[8:] {
		n += binary.NativeEndian.Uint64(value)
	}
	return n
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

// notEmpty says that nothing is on the interface, if so.
func notEmpty(c *dispatcher.Chain) error {
	if main(c) != nil {
		return nil
	}
	return &dispatcher.Error{Kind: dispatcher.ErrNoProgram,
		Msg: "no XDP program is loaded on " + c.Interface.Name, Remedy: fmt.Sprintf("load one: xdpmux load %s <file>", c.Interface.Name)}
}
