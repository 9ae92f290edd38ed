package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cmd/internal/capture"
	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/cmd/internal/terminal"
	"github.com/xdpmux/xdpmux/dispatcher/filter"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// pointWriter writes packets as they were at the points of a chain. Each point is an interface
// of the capture.
type pointWriter struct {
	*captureWriter
	hardware map[string]string // of each interface; see there
	at       observe.At
	snapLen  int // 0: packets are whole
	filter   string
	begun    time.Time
	points   map[point]*written
	last     *written // of the record before

	taken    func() []observe.Taken  // what is looked at; nil: of a file
	counted  map[point]observe.Taken // at exits, in the statistics of earlier files
	rotation rotation
}

// point is where packets of an interface come to a program, or leave it.
type point struct {
	ifname  string
	program uint32
	exit    bool
}

// written is what was written of a point.
type written struct {
	point
	iface   int
	packets uint64
}

// arrival is the place before all programs.
const arrival = "arrival"

var atWords = map[string]observe.At{"chain": observe.AtChain, "programs": observe.AtPrograms, arrival: observe.AtArrival}

// parseAt reads the value of --at.
func parseAt(word string) (observe.At, error) {
	at, ok := atWords[word]
	if !ok {
		return 0, cmdline.UsageError(fmt.Sprintf("%q is not a place where packets are captured", word), "places: chain, programs, "+arrival)
	}
	return at, nil
}

// createPoints prepares the file of --write, which may not be the one that is read, if any is.
func createPoints(out *output.Printer, ifnames []string, name string, force bool, options observe.LiveOptions, wanted *filter.Filter, input *captureFile) (_ *pointWriter, err error) {
	w := &pointWriter{hardware: map[string]string{}, at: options.At, snapLen: options.SnapLen, filter: wanted.String(), begun: time.Now(), points: map[point]*written{}, counted: map[point]observe.Taken{}}
	for _, ifname := range ifnames {
		w.hardware[ifname] = hardware(ifname)
	}
	if name == "-" {
		if _, columns := terminal.Size(out.Stdout); columns > 0 {
			return nil, cmdline.UsageError("a capture isn't for a terminal", "send it on, as in: xdpmux trace eth0 --write - | tshark -i -")
		}
		w.captureWriter = toStdout(out)
		return w, nil
	}
	if input != nil {
		if err := input.isNot(name, "choose another file with --write"); err != nil {
			return nil, err
		}
	}
	w.captureWriter, err = createCapture(name, force)
	return w, err
}

// keep ends the file, with what is known of its points.
func (w *pointWriter) keep() error {
	if w.rotation.failed != nil {
		return w.rotation.failed
	}
	w.statistics()
	return w.captureWriter.keep()
}

// hardware is what ethtool -i tells of the interface's driver; empty: nothing.
func hardware(ifname string) string {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	info, err := unix.IoctlGetEthtoolDrvinfo(fd, ifname)
	if err != nil {
		return ""
	}
	var words []string
	for _, w := range []struct {
		name  string
		value []byte
	}{{"driver", info.Driver[:]}, {"version", info.Version[:]}, {"firmware", info.Fw_version[:]}, {"bus", info.Bus_info[:]}} {
		if value := unix.ByteSliceToString(w.value); value != "" && value != "N/A" {
			words = append(words, w.name+" "+value)
		}
	}
	return strings.Join(words, ", ")
}

// describe adds the points of a program.
func (w *pointWriter) describe(ifname string, p xdp.Loaded) error {
	if w.at != observe.AtChain {
		if _, err := w.of(ifname, p, false); err != nil || w.at == observe.AtArrival {
			return err
		}
	}
	_, err := w.of(ifname, p, true)
	return err
}

// of is the point of a program, or of an interface without one. Its name is what xdpdump calls it.
func (w *pointWriter) of(ifname string, p xdp.Loaded, exit bool) (*written, error) {
	key := point{ifname, p.ID, exit}
	if w.last != nil && w.last.point == key {
		return w.last, nil
	}
	if at := w.points[key]; at != nil {
		w.last = at
		return at, nil
	}
	side, words := "fentry", "as they come to"
	if exit {
		side, words = "fexit", "as they leave"
	}
	i := capture.Interface{
		Name:        fmt.Sprintf("%s:%s()@%s", ifname, p.Name, side),
		Description: fmt.Sprintf("packets %s program %d (%s), tag %s", words, p.ID, p.Name, p.Tag),
		Hardware:    w.hardware[ifname],
		SnapLen:     w.snapLen,
		Filter:      w.filter,
	}
	if p.ID == 0 {
		i.Name, i.Description = ifname, "packets as they come to the interface, which has no XDP program"
	}
	if i.Hardware != "" {
		i.Comment = ifname + ": " + i.Hardware
	}
	n, err := w.AddInterface(i)
	if err != nil {
		return nil, err
	}
	w.points[key] = &written{point: key, iface: n}
	return w.points[key], nil
}

// add writes packet n of an interface at its points. missing is how many bytes of it, besides those of t, were
// on the wire.
func (w *pointWriter) add(n int, ifname string, t *observe.Trace, missing int) error {
	if err := w.rotate(); err != nil {
		return err
	}
	if w.at != observe.AtPrograms {
		exit := w.at == observe.AtChain
		return w.record(ifname, t.Main, exit, capture.Record{ID: uint64(n), Queue: t.Queue, Time: t.Time,
			Data: t.Data, Length: t.Length + missing, Verdict: uint32(t.Verdict), Decided: exit})
	}
	for _, p := range t.Points {
		r := capture.Record{ID: uint64(n), Queue: t.Queue, Time: p.Time,
			Data: p.Data, Length: p.Length + missing, Verdict: uint32(p.Verdict), Decided: p.Exit}
		if r.Time.IsZero() { // of a replay
			r.Time = t.Time
		}
		if err := w.record(ifname, p.Program, p.Exit, r); err != nil {
			return err
		}
	}
	return nil
}

func (w *pointWriter) record(ifname string, p xdp.Loaded, exit bool, r capture.Record) error {
	at, err := w.of(ifname, p, exit)
	if err != nil {
		return err
	}
	r.Interface = at.iface
	at.packets++
	return w.Write(r)
}

// begin describes the points that there are. The first error of writing is kept for the end, here
// and in statistics.
func (w *pointWriter) begin() {
	for _, t := range w.taken() {
		_ = w.describe(t.Interface, t.Program)
	}
	if w.live() {
		_ = w.Flush() // who reads may wait for it
	}
}

// statistics writes what came by at the points since the file begins.
func (w *pointWriter) statistics() {
	end := time.Now()
	for _, t := range w.taken() {
		_ = w.describe(t.Interface, t.Program)
		key := point{t.Interface, t.Program.ID, true}
		before := w.counted[key]
		w.counted[key] = t
		t.Packets, t.Lost = t.Packets-before.Packets, t.Lost-before.Lost
		for _, exit := range []bool{false, true} {
			if at := w.points[point{t.Interface, t.Program.ID, exit}]; at != nil {
				_ = w.WriteStatistics(at.iface, capture.Statistics{Start: w.begun, End: end, Received: t.Packets, Lost: t.Lost, Delivered: at.packets})
			}
		}
	}
}

// live says whether somebody reads while packets are written.
func (w *pointWriter) live() bool { return w.part == "" }

// isNot returns an error if name is the capture itself.
func (c *captureFile) isNot(name, remedy string) error {
	info, err := os.Stat(name)
	if err != nil {
		return nil // who writes it finds out
	}
	in, err := c.file.Stat()
	if err == nil && os.SameFile(in, info) {
		err = &xdp.Error{Kind: xdp.ErrInvalid, Msg: name + " is the capture itself", Remedy: remedy}
	}
	return err
}
