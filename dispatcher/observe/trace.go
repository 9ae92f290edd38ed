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
	"github.com/xdpmux/xdpmux/dispatcher/internal/proc"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Trace is the way of one packet through a chain.
type Trace struct {
	Interface string      // empty in a [Replay]
	Time      time.Time   // when it left the chain, or came to it with [AtArrival]; zero in a [Replay]
	Steps     []Step      // the programs it met, in their order; none with [AtArrival]
	Verdict   xdp.Verdict // meaningless with [AtArrival]
	// DecidedBy is the program whose verdict it is. It is nil if the last program gave
	// one of its chain call actions, and the dispatcher itself said XDP_PASS.
	DecidedBy *xdp.Loaded
	Length    int        // of the packet as the chain left it, or as it came, in bytes
	Data      []byte     // its first bytes
	Queue     int        // that it was received on
	Main      xdp.Loaded // what it left or came to: the dispatcher, or the program in its place; zero: nothing
	Points    []Point    // with [AtPrograms]: where it came by, in this order

	memory []byte  // of Data and Points
	unsure *tracer // the packet left a lone program that may have been in another chain by then; nil: it wasn't
}

// At says where packets are looked at.
type At int

const (
	AtChain    At = iota // as they leave the chain
	AtPrograms           // as they come to each program, and as they leave it
	AtArrival            // as they come to the interface, before a program has seen them; not of a [Replay]
)

// pointsOf is Points of a config.
func pointsOf(at At) uint32 {
	if at == AtPrograms {
		return 1
	}
	return 0
}

// Point is a packet as it came to a program, or as it left it.
type Point struct {
	Program xdp.Loaded
	Exit    bool        // it left the program
	Verdict xdp.Verdict // of the program, where Exit
	Time    time.Time   // zero in a [Replay]
	Length  int         // in bytes
	Data    []byte      // its first bytes
}

// Step is what one program said.
type Step struct {
	xdp.Loaded
	Verdict xdp.Verdict
}

// SnapLen is how many bytes of a packet are told of at most, but for those that a [Replay]'s
// chain has left. Of a packet in several buffers it is of what lies in the first one.
const SnapLen = 4096

// packetConfig is config of bpf/probe/packet.bpf.c.
type packetConfig struct {
	Alone, Verdicts, Deciders, Sample uint32
	Programs, Snap, Points, Reach     uint32
	Wake, Source                      uint32
	Replay                            replayConfig
	Ingress                           ingress
}

// stepConfig is config of bpf/probe/step.bpf.c.
type stepConfig struct {
	Slot, First, Snap, Points, Reach, Reserved uint32
	Replay                                     replayConfig
	Ingress                                    ingress
}

// replayConfig is struct replay of bpf/probe/trace.h.
type replayConfig struct {
	PidnsDev, PidnsIno uint64
	Tid, Reserved      uint32
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

// tracer holds the probes on one chain, as it was at one time.
type tracer struct {
	chain    *dispatcher.Chain
	main     xdp.Loaded   // each packet of the chain comes to it, and leaves the chain by it
	programs []xdp.Loaded // by slot
	probes   []*probed
	packet   *probed
	alone    bool   // a component program in the dispatcher's own place
	points   bool   // are told of
	early    uint64 // packets that came before the trace began
	source   uint16 // number in what the probes tell
	filter   []byte // code of the function of that name; nil: no packet is filtered
}

// newTracer has attach attach the probes, and then has them tell of packets. If it fails, no probe
// is left.
func newTracer(c *dispatcher.Chain, r request, attach func(*tracer) error) (*tracer, error) {
	t := &tracer{chain: c, filter: r.filter, source: uint16(r.Source)}
	switch {
	case c.Legacy != nil:
		t.programs = []xdp.Loaded{*c.Legacy}
	case c.Hardware != nil:
		return nil, &xdp.Error{Kind: xdp.ErrModeNotSupported,
			Msg: fmt.Sprintf("the program on %s runs on the device, where the kernel can't trace it", c.Interface.Name)}
	default:
		for _, p := range c.Programs {
			t.programs = append(t.programs, p.Loaded)
		}
		t.alone = len(t.programs) == 1
	}
	switch {
	case len(t.programs) == 1:
		t.main = t.programs[0]
	case main(c) != nil:
		t.main = *main(c)
	}
	err := attach(t)
	if err == nil {
		err = t.begin()
	}
	if err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// chainID is the id of the interface's own program; 0: there is none.
func (t *tracer) chainID() uint32 {
	if main(t.chain) == nil {
		return 0
	}
	return main(t.chain).ID
}

// request says what is to be traced.
type request struct {
	packetConfig
	rings  *rings // which the probes write to; nil for a Replay
	filter []byte // see tracer
}

// probe is the probe of packets.o with that program.
func (r *request) probe(program string) probe {
	which := probe{programs: []string{program}, entries: map[string]int{}, shared: map[string]int{}}
	if r.rings != nil {
		which.shared["events"] = r.rings.events.Int()
	}
	return which
}

// trace traces the packets that are asked for.
func trace(c *dispatcher.Chain, r request) (*tracer, error) {
	return newTracer(c, r, func(t *tracer) error { return t.attachAll(r) })
}

// traceArrivals traces the packets that are asked for as they come to the chain. If it is empty, they
// are those of a packet socket.
func traceArrivals(c *dispatcher.Chain, r request) (*tracer, error) {
	return newTracer(c, r, func(t *tracer) (err error) {
		t.alone = false // whatever the program is in, the packet came to it
		which := r.probe("arrival")
		if main(c) == nil {
			return t.attachTap(which, r.packetConfig)
		}
		if r.Ingress, err = ingressOf(c.Interface.Index); err != nil {
			return err
		}
		t.packet, err = t.attach("packet", t.main, r.packetConfig, which)
		return err
	})
}

// attachAll attaches the probes of each program and of the chain.
func (t *tracer) attachAll(r request) (err error) {
	which := r.probe("packet")
	config := r.packetConfig
	t.points = config.Points == 1
	if len(t.programs) == 1 {
		config.Alone = 1
	}
	if config.Ingress, err = ingressOf(t.chain.Interface.Index); err != nil {
		return err
	}
	if t.points && config.Replay.Tid == 0 {
		cpus, err := proc.PossibleProcessors()
		if err != nil {
			return err
		}
		which.entries["trails"] = 2 * cpus // each has two ways
	}
	config.Programs = 0
	for i, p := range t.programs {
		if p.ID != 0 { // else its slot is empty
			config.Programs |= 1 << i
		}
	}
	if t.packet, err = t.attach("packet", t.main, config, which); err != nil {
		return err
	}
	return t.attachSteps(config)
}

// attachSteps attaches the probes of each program, which tell that of the chain. Of a lone program
// that one itself tells as packets leave.
func (t *tracer) attachSteps(config packetConfig) error {
	var programs []string
	if t.points {
		programs = append(programs, "enter")
	}
	if config.Alone == 0 {
		programs = append(programs, "step")
	}
	if programs == nil {
		return nil
	}
	shared := map[string]int{}
	for _, name := range []string{"ways", "gate", "trails"} {
		shared[name] = t.packet.mapFD(name)
	}
	first := uint32(1)
	for i, p := range t.programs {
		if p.ID == 0 {
			continue
		}
		step := stepConfig{uint32(i), first, config.Snap, config.Points, config.Reach, 0, config.Replay, config.Ingress}
		if _, err := t.attach("step", p, step, probe{programs: programs, shared: shared}); err != nil {
			return err
		}
		first = 0
	}
	return nil
}

// begin has the probes, which all stand now, tell of packets.
func (t *tracer) begin() error {
	one := binary.NativeEndian.AppendUint32(nil, 1)
	return libbpf.MapUpdate(t.packet.mapFD("gate"), make([]byte, 4), one, libbpf.UpdateAny)
}

// attach attaches one of the probes. If the argument of the program to isn't declared as a
// packet, the verifier refuses the probe. Then attach tries again with one that finds the
// interface in another way.
func (t *tracer) attach(object string, to xdp.Loaded, config any, which probe) (p *probed, err error) {
	for _, untyped := range []uint32{0, 1} {
		switch c := config.(type) {
		case packetConfig:
			c.Ingress.Untyped = untyped
			config = c
		case stepConfig:
			c.Ingress.Untyped = untyped
			config = c
		}
		which.object, which.config, which.filter = object, config, t.filter
		p, err = which.attach(t.chain, to)
		if err == nil || dispatcher.VerifierLog(err) == "" {
			break
		}
	}
	if err == nil {
		t.probes = append(t.probes, p)
	}
	return p, err
}

// told is struct told of bpf/probe/packet.bpf.c.
type told struct {
	Packets, Missed, Lost uint64
	At                    [xdp.MaxPrograms]struct{ Packets, Lost uint64 }
}

func (t *told) add(u told) {
	t.Packets += u.Packets
	t.Missed += u.Missed
	t.Lost += u.Lost
	for i := range t.At {
		t.At[i].Packets += u.At[i].Packets
		t.At[i].Lost += u.At[i].Lost
	}
}

// told is what the probes say of the packets they saw, of all CPUs.
func (t *tracer) told() (told, error) {
	var sum told
	cpus, err := libbpf.NumPossibleCPUs()
	if err != nil {
		return sum, err
	}
	size := binary.Size(sum)
	value := make([]byte, size*cpus)
	if err := libbpf.MapLookup(t.packet.mapFD("told"), make([]byte, 4), value); err != nil {
		return sum, err
	}
	for cpu := range slices.Chunk(value, size) {
		var one told
		if _, err := binary.Decode(cpu, binary.NativeEndian, &one); err != nil {
			return sum, err
		}
		sum.add(one)
	}
	left, err := t.packet.missed() // by the kernel
	if err != nil {
		return sum, err
	}
	sum.Packets += left - t.early
	sum.Missed += left - t.early
	return sum, nil
}

func (t *tracer) detach() {
	for _, p := range t.probes {
		p.detach()
	}
}

func (t *tracer) close() {
	for _, p := range t.probes {
		p.close()
	}
}
