package harness

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// WritePcap writes frames to a file of the older format, with the given link type, a second
// apart.
func WritePcap(t testing.TB, link layers.LinkType, frames ...[]byte) (name string) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "test.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := pcapgo.NewWriter(f)
	if err := w.WriteFileHeader(65535, link); err != nil {
		t.Fatal(err)
	}
	for i, frame := range frames {
		info := gopacket.CaptureInfo{Timestamp: time.Unix(int64(i), 0), CaptureLength: len(frame), Length: len(frame)}
		if err := w.WritePacket(info, frame); err != nil {
			t.Fatal(err)
		}
	}
	return f.Name()
}

// ReadPcapng returns the frames of a whole pcapng file.
func ReadPcapng(t testing.TB, name string) (frames [][]byte) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewNgReader(f, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, _, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return frames
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		frames = append(frames, data)
	}
}

// Captured is a packet of a pcapng file, with the options that XDP gives it.
type Captured struct {
	Interface string
	ID        uint64
	Queue     int   // -1: not said
	Verdict   int64 // of XDP; -1: not said
	Length    int
	Data      []byte
}

// Points are the statistics of the interfaces of a pcapng file, by name.
type Points map[string]struct{ Received, Lost, Delivered uint64 }

// ReadPoints reads a whole pcapng file of a little-endian machine, block by block, as
// gopacket's reader leaves out the options.
func ReadPoints(t testing.TB, name string) (packets []Captured, points Points) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	var names []string
	points = Points{}
	for len(data) > 0 {
		if len(data) < 12 || int(le.Uint32(data[4:])) > len(data) {
			t.Fatalf("%s ends in the middle of a block", name)
		}
		block := data[8 : le.Uint32(data[4:])-4]
		switch typ := le.Uint32(data); typ {
		case 1: // interface description
			options := optionsOf(block[8:])
			names = append(names, string(options[2]))
			points[string(options[2])] = struct{ Received, Lost, Delivered uint64 }{}
		case 5: // interface statistics
			options := optionsOf(block[12:])
			points[names[le.Uint32(block)]] = struct{ Received, Lost, Delivered uint64 }{le.Uint64(options[4]), le.Uint64(options[7]), le.Uint64(options[8])}
		case 6: // enhanced packet
			size := int(le.Uint32(block[12:]))
			options := optionsOf(block[20+(size+3)/4*4:])
			p := Captured{Interface: names[le.Uint32(block)], Queue: -1, Verdict: -1, Data: block[20:][:size], Length: int(le.Uint32(block[16:]))}
			if id := options[5]; id != nil {
				p.ID = le.Uint64(id)
			}
			if queue := options[6]; queue != nil {
				p.Queue = int(le.Uint32(queue))
			}
			if verdict := options[7]; verdict != nil && verdict[0] == 2 {
				p.Verdict = int64(le.Uint64(verdict[1:]))
			}
			packets = append(packets, p)
		}
		data = data[le.Uint32(data[4:]):]
	}
	return packets, points
}

// optionsOf are the options of a block, by their codes.
func optionsOf(rest []byte) map[uint16][]byte {
	options := map[uint16][]byte{}
	for len(rest) >= 4 {
		code, size := binary.LittleEndian.Uint16(rest), int(binary.LittleEndian.Uint16(rest[2:]))
		options[code] = rest[4:][:size]
		rest = rest[4+(size+3)/4*4:]
	}
	return options
}
