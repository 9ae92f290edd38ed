package capture

import (
	"encoding/binary"
	"io"
	"strings"
	"time"
)

// Writer writes a pcapng file of one section (draft-ietf-opsawg-pcapng). gopacket's writer
// doesn't know what XDP adds to a packet: its verdict, its queue and the number that tells it
// again at another point.
type Writer struct {
	w      io.Writer
	blocks []byte // whole blocks, not yet written
	kept   int    // packets among them
	size   int64  // bytes written, of whole blocks
	err    error  // of writing
	ifaces int
}

// Section is who writes a capture, and where. Empty: not said.
type Section struct {
	Hardware, OS, Application, Comment string
}

// Interface is a place where packets are captured. Empty: not said.
type Interface struct {
	Name, Description, Hardware, Filter, Comment string
	SnapLen                                      int // bytes of a packet that are captured at most; 0: all
}

// Record is a packet to be written. It has the link type Ethernet.
type Record struct {
	Interface int // as AddInterface has numbered it
	Time      time.Time
	Data      []byte
	Length    int    // on the wire, in bytes
	ID        uint64 // the same wherever the packet is captured; 0: neither it nor Queue is known
	Queue     int    // that it was received on
	Verdict   uint32 // of XDP
	Decided   bool   // there is a verdict
}

// Statistics are the packets of an interface.
type Statistics struct {
	Start, End time.Time
	Received   uint64 // all that came by
	Lost       uint64 // for which there was no room
	Delivered  uint64 // to who captures
}

// The blocks and options that only the writer needs.
const (
	statistics = 5

	optionComment = 1

	optionHardware    = 2 // of a section
	optionOS          = 3
	optionApplication = 4

	optionName        = 2 // of an interface
	optionDescription = 3
	optionFilter      = 11
	optionIfHardware  = 15

	optionPacketID = 5 // of a packet
	optionQueue    = 6
	optionVerdict  = 7

	optionStart     = 2 // of statistics
	optionEndTime   = 3
	optionReceived  = 4
	optionLost      = 7
	optionDelivered = 8
)

// The rest of what blocks and options hold.
const (
	unknownLength = ^uint64(0) // of a section
	nanosecond    = 9          // if_tsresol
	verdictXDP    = 2          // XDP's kind of verdict in epb_verdict
	maxOption     = 1<<16 - 1
	fullBuffer    = 64 << 10
)

// NewWriter begins a file. The first error of w is that of all calls after it.
func NewWriter(w io.Writer, s Section) *Writer {
	writer := &Writer{w: w}
	begun := writer.begin(sectionHeader)
	writer.word(byteOrderMagic)
	writer.half(1) // version
	writer.half(0)
	writer.long(unknownLength)
	writer.text(optionHardware, s.Hardware)
	writer.text(optionOS, s.OS)
	writer.text(optionApplication, s.Application)
	writer.text(optionComment, s.Comment)
	writer.end(begun)
	return writer
}

// AddInterface describes an interface, and returns its number. It can come at any time before
// the interface's first packet.
func (w *Writer) AddInterface(i Interface) (int, error) {
	begun := w.begin(interfaceDesc)
	w.half(Ethernet)
	w.half(0)
	w.word(uint32(i.SnapLen))
	w.text(optionName, i.Name)
	w.text(optionDescription, i.Description)
	w.option(optionTsResol, 1)
	w.blocks = append(w.blocks, nanosecond, 0, 0, 0)
	if i.Filter != "" {
		w.text(optionFilter, "\x00"+i.Filter) // 0: in tcpdump's language
	}
	w.text(optionIfHardware, i.Hardware)
	w.text(optionComment, i.Comment)
	w.ifaces++
	return w.ifaces - 1, w.end(begun)
}

// Write writes a packet.
func (w *Writer) Write(r Record) error {
	begun := w.begin(enhancedPacket)
	w.word(uint32(r.Interface))
	w.time(r.Time)
	w.word(uint32(len(r.Data)))
	w.word(uint32(r.Length))
	w.padded(r.Data)
	if r.ID != 0 {
		w.option(optionPacketID, 8)
		w.long(r.ID)
		w.option(optionQueue, 4)
		w.word(uint32(r.Queue))
	}
	if r.Decided {
		w.option(optionVerdict, 9)
		w.blocks = append(w.blocks, verdictXDP)
		w.long(uint64(r.Verdict))
		w.blocks = append(w.blocks, 0, 0, 0) // up to a multiple of four
	}
	w.kept++
	return w.end(begun)
}

// WriteStatistics writes what is known of an interface when the capture ends.
func (w *Writer) WriteStatistics(iface int, s Statistics) error {
	begun := w.begin(statistics)
	w.word(uint32(iface))
	w.time(s.End)
	for _, t := range []struct {
		option uint16
		at     time.Time
	}{{optionStart, s.Start}, {optionEndTime, s.End}} {
		w.option(t.option, 8)
		w.time(t.at)
	}
	for _, n := range []struct {
		option uint16
		count  uint64
	}{{optionReceived, s.Received}, {optionLost, s.Lost}, {optionDelivered, s.Delivered}} {
		w.option(n.option, 8)
		w.long(n.count)
	}
	return w.end(begun)
}

// Flush writes what is kept so far.
func (w *Writer) Flush() error {
	if w.err != nil || len(w.blocks) == 0 {
		return w.err
	}
	_, w.err = w.w.Write(w.blocks)
	if w.err == nil {
		w.size += int64(len(w.blocks))
		w.blocks, w.kept = w.blocks[:0], 0
	}
	return w.err
}

// Whole is how many bytes of the file are certainly there, and end with a block. lost is how
// many packets came after them, once writing has failed.
func (w *Writer) Whole() (size int64, lost int) { return w.size, w.kept }

// Size is how many bytes the file has, with those that are kept.
func (w *Writer) Size() int64 { return w.size + int64(len(w.blocks)) }

func (w *Writer) half(n uint16) { w.blocks = binary.LittleEndian.AppendUint16(w.blocks, n) }
func (w *Writer) word(n uint32) { w.blocks = binary.LittleEndian.AppendUint32(w.blocks, n) }
func (w *Writer) long(n uint64) { w.blocks = binary.LittleEndian.AppendUint64(w.blocks, n) }

// time writes a time in nanoseconds, its upper half first.
func (w *Writer) time(t time.Time) {
	n := uint64(t.UnixNano())
	w.word(uint32(n >> 32))
	w.word(uint32(n))
}

// begin begins a block, and returns where.
func (w *Writer) begin(typ uint32) int {
	begun := len(w.blocks)
	w.word(typ)
	w.word(0)
	return begun
}

// end ends the block that has begun there.
func (w *Writer) end(begun int) error {
	w.option(optionEnd, 0)
	size := uint32(len(w.blocks) - begun + 4)
	w.word(size)
	binary.LittleEndian.PutUint32(w.blocks[begun+4:], size)
	if w.err != nil || len(w.blocks) < fullBuffer {
		return w.err
	}
	return w.Flush()
}

// option begins an option whose value has so many bytes.
func (w *Writer) option(code uint16, size int) {
	w.half(code)
	w.half(uint16(size))
}

// text writes an option, unless it is empty. What isn't UTF-8 is left out.
func (w *Writer) text(code uint16, text string) {
	if text == "" {
		return
	}
	text = strings.ToValidUTF8(text[:min(len(text), maxOption)], "")
	w.option(code, len(text))
	w.padded([]byte(text))
}

// padded writes bytes, and nulls up to a multiple of four.
func (w *Writer) padded(b []byte) {
	w.blocks = append(w.blocks, b...)
	w.blocks = append(w.blocks, 0, 0, 0)
	w.blocks = w.blocks[:len(w.blocks)-(len(b)+3)%4]
}
