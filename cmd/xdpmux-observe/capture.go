package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/gopacket/gopacket/layers"

	"github.com/xdpmux/xdpmux/cmd/internal/capture"
	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// captureFile is a capture whose packets have all been looked at.
type captureFile struct {
	name string
	file *os.File
	part *io.SectionReader // of the file: what was there when it was looked at

	packets int
	cut     int            // packets of which the capture has only the beginning
	other   map[uint32]int // packets that are no Ethernet frames, by their link type

	shortest, longest numbered // of the Ethernet frames
}

// numbered is a packet of a capture.
type numbered struct{ n, length int }

// maxSpool is how much of a pipe is kept in a temporary file, to be read twice.
const maxSpool = 1 << 30

// openCapture looks at every packet of a capture before it returns. Each packet that runs
// changes the programs' maps, so a fault in the middle would leave half a replay behind.
// The name - is standard input.
func openCapture(ctx context.Context, name string) (*captureFile, error) {
	return cmdline.Interruptible(ctx, func() (*captureFile, error) { return lookAtCapture(ctx, name) })
}

func lookAtCapture(ctx context.Context, name string) (_ *captureFile, err error) {
	c := &captureFile{name: name, other: map[uint32]int{}}
	if name == "-" {
		c.name, c.file = cmdline.StdinName, os.Stdin
	} else if c.file, err = os.Open(name); err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return nil, &xdp.Error{Kind: xdp.ErrInvalid, Err: err, Msg: fmt.Sprintf("can't open %s: %v", name, err)}
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	info, err := c.file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().IsRegular() {
		at, err := c.file.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		c.part = io.NewSectionReader(c.file, at, info.Size()-at)
		return c, c.look(ctx, c.part)
	}
	spool, err := newSpool()
	if err != nil {
		return nil, err
	}
	input := c.file
	c.file = spool.file
	err = c.look(ctx, io.TeeReader(input, spool))
	c.part = io.NewSectionReader(spool.file, 0, spool.written)
	return c, errors.Join(err, input.Close())
}

// spool is a temporary file without a name.
type spool struct {
	file    *os.File
	written int64
}

func newSpool() (*spool, error) {
	f, err := os.CreateTemp("", "xdpmux-")
	if err != nil {
		return nil, err
	}
	return &spool{file: f}, os.Remove(f.Name())
}

func (s *spool) Write(b []byte) (int, error) {
	if s.written+int64(len(b)) > maxSpool {
		return 0, &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("a capture of more than %d bytes doesn't go through a pipe", maxSpool), Remedy: "give it as a file"}
	}
	n, err := s.file.Write(b)
	s.written += int64(n)
	return n, err
}

// look counts what is in a capture, and says what is wrong with it.
func (c *captureFile) look(ctx context.Context, r io.Reader) error {
	err := c.read(ctx, r, func(n int, p capture.Packet) error {
		c.packets = n
		if p.LinkType != capture.Ethernet {
			c.other[p.LinkType]++
			return nil
		}
		this := numbered{n, len(p.Data)}
		if c.shortest.n == 0 || this.length < c.shortest.length {
			c.shortest = this
		}
		if this.length > c.longest.length {
			c.longest = this
		}
		if len(p.Data) < p.Length {
			c.cut++
		}
		return nil
	})
	if err != nil {
		return err
	}
	if skipped := c.skipped(); skipped > 0 && skipped == c.packets {
		return &xdp.Error{Kind: xdp.ErrInvalid,
			Msg:    fmt.Sprintf("%s has packets of link type %s, and XDP programs see Ethernet", c.name, c.linkTypes()),
			Remedy: "capture on an Ethernet interface, not on any"}
	}
	return nil
}

// fits returns an error unless all packets have observe.MinLen to maxLen bytes.
func (c *captureFile) fits(maxLen int) error {
	for _, p := range []numbered{c.shortest, c.longest} {
		if p.n > 0 && (p.length < observe.MinLen || p.length > maxLen) {
			return &xdp.Error{Kind: xdp.ErrInvalid,
				Msg:    fmt.Sprintf("packet %d of %s has %d bytes, and a test run of this chain takes %d to %d", p.n, c.name, p.length, observe.MinLen, maxLen),
				Remedy: "leave it out of the capture; a chain whose programs all have frags support takes longer ones"}
		}
	}
	return nil
}

// skipped is the number of packets that no XDP program sees.
func (c *captureFile) skipped() (n int) {
	for _, packets := range c.other {
		n += packets
	}
	return n
}

func (c *captureFile) linkTypes() string {
	var names []string
	for typ := range c.other {
		name := fmt.Sprint(typ)
		if said := layers.LinkType(typ).String(); typ < 1<<16 && !strings.Contains(said, "nknown") {
			name += " (" + said + ")"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// warn says which packets won't run, or not whole.
func (c *captureFile) warn(out *output.Printer) {
	if n := c.skipped(); n > 0 {
		out.Warn("%d of %d packets of %s are skipped: they are of link type %s, and XDP programs see Ethernet", n, c.packets, c.name, c.linkTypes())
	}
	if c.cut > 0 {
		out.Warn("%d of %d packets of %s are cut: the programs see what was captured of them, and may decide otherwise about the whole (tcpdump -s 0 captures all)", c.cut, c.packets, c.name)
	}
}

// each calls f with every Ethernet frame and its number in the file, from 1. f may use the
// data until it returns.
func (c *captureFile) each(ctx context.Context, f func(n int, p capture.Packet) error) error {
	return c.read(ctx, c.part, func(n int, p capture.Packet) error {
		if p.LinkType != capture.Ethernet {
			return nil
		}
		return f(n, p)
	})
}

func (c *captureFile) read(ctx context.Context, r io.Reader, f func(n int, p capture.Packet) error) error {
	if s, ok := r.(io.Seeker); ok {
		if _, err := s.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	reader, err := capture.NewReader(r)
	if err != nil {
		return c.broken(err, c.name+" is not a pcap or pcapng file, or is cut off in its header",
			"such files come from: tcpdump -w FILE, or xdpmux trace --write FILE")
	}
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		p, err := reader.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return c.broken(err, fmt.Sprintf("%s is truncated or broken after packet %d", c.name, n-1),
				"editcap of Wireshark can write the packets before into a new file")
		}
		if err := f(n, p); err != nil {
			return err
		}
	}
}

// broken tells a fault of the capture from one of reading it.
func (c *captureFile) broken(err error, msg, remedy string) error {
	var known *xdp.Error
	var path *fs.PathError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &path):
		return &xdp.Error{Kind: xdp.ErrInvalid, Err: err, Msg: fmt.Sprintf("can't read %s: %v", c.name, path.Err)}
	}
	return &xdp.Error{Kind: xdp.ErrInvalid, Err: err, Msg: fmt.Sprintf("%s (%v)", msg, err), Remedy: remedy}
}

func (c *captureFile) close() { c.file.Close() }
