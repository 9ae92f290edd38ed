//go:build !lean

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/xdpmux/xdpmux/dispatcher"
)

// capture reads the packets of a pcap or pcapng file.
type capture struct {
	gopacket.ZeroCopyPacketDataSource
	name string
	file *os.File
}

func openCapture(name string) (_ *capture, err error) {
	f, err := os.Open(name)
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return nil, &dispatcher.Error{Kind: dispatcher.ErrInvalid, Err: err, Msg: fmt.Sprintf("can't open %s: %v", name, err)}
	}
	c := &capture{name: name, file: f}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	magic := make([]byte, 4)
	if _, err := io.ReadFull(f, magic); err != nil {
		return nil, notCapture(name, err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, notCapture(name, err) // a pipe
	}
	buffered := bufio.NewReaderSize(f, 1<<16)
	type linkTyped interface{ LinkType() layers.LinkType }
	var source linkTyped
	if bytes.Equal(magic, []byte{0x0a, 0x0d, 0x0d, 0x0a}) { // a section header block
		r, err := pcapgo.NewNgReader(buffered, pcapgo.DefaultNgReaderOptions)
		if err != nil {
			return nil, notCapture(name, err)
		}
		c.ZeroCopyPacketDataSource, source = r, r
	} else {
		r, err := pcapgo.NewReader(buffered)
		if err != nil {
			return nil, notCapture(name, err)
		}
		c.ZeroCopyPacketDataSource, source = r, r
	}
	if source.LinkType() != layers.LinkTypeEthernet {
		return nil, &dispatcher.Error{Kind: dispatcher.ErrInvalid,
			Msg:    fmt.Sprintf("%s has packets of link type %v, and XDP programs see Ethernet", name, source.LinkType()),
			Remedy: "capture on an Ethernet interface, not on any"}
	}
	return c, nil
}

func notCapture(name string, err error) error {
	return &dispatcher.Error{Kind: dispatcher.ErrInvalid, Err: err,
		Msg:    name + " is not a pcap or pcapng file, or is cut off in its header",
		Remedy: "such files come from: tcpdump -w FILE, or xdpmux trace --live --write FILE"}
}

// each calls f with every packet and its number, from 1. The data is f's until it
// returns.
func (c *capture) each(f func(n int, data []byte, info gopacket.CaptureInfo) error) error {
	for n := 1; ; n++ {
		data, info, err := c.ZeroCopyReadPacketData()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return &dispatcher.Error{Kind: dispatcher.ErrInvalid, Err: err,
				Msg:    fmt.Sprintf("%s is truncated or broken after packet %d (%v)", c.name, n-1, err),
				Remedy: "editcap of Wireshark can write the packets before into a new file"}
		}
		if err := f(n, data, info); err != nil {
			return err
		}
	}
}

func (c *capture) close() { c.file.Close() }

// captureWriter writes a pcapng file.
type captureWriter struct {
	file *os.File
	ng   *pcapgo.NgWriter
}

func createCapture(name string) (*captureWriter, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, &dispatcher.Error{Kind: dispatcher.ErrInvalid, Err: err, Msg: fmt.Sprintf("can't write %s: %v", name, errors.Unwrap(err))}
	}
	ng, err := pcapgo.NewNgWriter(f, layers.LinkTypeEthernet)
	if err != nil {
		f.Close()
		return nil, err
	}
	return &captureWriter{f, ng}, nil
}

func (w *captureWriter) write(at time.Time, data []byte, length int) error {
	return w.ng.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(data), Length: length}, data)
}

func (w *captureWriter) close() error { return errors.Join(w.ng.Flush(), w.file.Close()) }

// verdictFiles writes packets into one file a verdict.
type verdictFiles struct {
	dir   string
	files map[string]*captureWriter
}

func newVerdictFiles(dir string) (*verdictFiles, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, &dispatcher.Error{Kind: dispatcher.ErrInvalid, Err: err, Msg: fmt.Sprintf("can't make directory %s: %v", dir, errors.Unwrap(err))}
	}
	return &verdictFiles{dir, map[string]*captureWriter{}}, nil
}

func (v *verdictFiles) write(verdict string, at time.Time, data []byte, length int) error {
	w := v.files[verdict]
	if w == nil {
		var err error
		if w, err = createCapture(filepath.Join(v.dir, verdict+".pcapng")); err != nil {
			return err
		}
		v.files[verdict] = w
	}
	return w.write(at, data, length)
}

func (v *verdictFiles) close() error {
	var errs []error
	for _, w := range v.files {
		errs = append(errs, w.close())
	}
	return errors.Join(errs...)
}
