// Package capture reads the files of tcpdump and Wireshark: pcap and pcapng, also
// compressed with gzip.
//
// A file may be the work of somebody who means harm. So the reader checks every length
// before it uses it, takes no more memory than one packet needs, and refuses a file that
// ends too soon. gopacket's reader does none of that, and can't be made safe from outside:
// that would take reading every block before it does.
package capture

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// Ethernet is the link type of Ethernet frames.
const Ethernet = 1

// maxPacket is the longest packet that a file may have, in bytes: that of tcpdump.
const maxPacket = 256 << 10

// maxBlock is the longest record that is looked into: a packet with its options.
const maxBlock = maxPacket + 64<<10

// Packet is one packet of a capture.
type Packet struct {
	Time     time.Time // 1970 where the file doesn't say
	Data     []byte    // what was captured of it
	Length   int       // on the wire, in bytes: more than there is Data if the capture cut it
	LinkType uint32    // as in https://www.tcpdump.org/linktypes.html
}

// Reader reads the packets of a capture, one after the other.
type Reader struct {
	r      *bufio.Reader
	order  binary.ByteOrder
	next   func() (Packet, error)
	unread int // bytes of the last record, which its packet still uses

	link uint32        // of a pcap file
	tick time.Duration // the unit of the part of a second in a pcap file

	ifaces []iface // of the pcapng section
}

// NewReader reads the beginning of a capture. Its error says what is wrong, and doesn't
// name the file.
func NewReader(r io.Reader) (*Reader, error) {
	c := &Reader{r: bufio.NewReaderSize(r, maxBlock)}
	magic, err := c.r.Peek(4)
	if err != nil {
		return nil, cutOff(err, "in its first bytes")
	}
	if magic[0] == 0x1f && magic[1] == 0x8b {
		unpacked, err := gzip.NewReader(c.r)
		if err != nil {
			return nil, err
		}
		c.r = bufio.NewReaderSize(unpacked, maxBlock)
		if magic, err = c.r.Peek(4); err != nil {
			return nil, cutOff(err, "in its first bytes")
		}
	}
	if binary.BigEndian.Uint32(magic) == sectionHeader {
		c.next = c.nextNG
		return c, c.firstSection()
	}
	c.next = c.nextPcap
	return c, c.pcapHeader(magic)
}

// Next returns the next packet. Its Data is good until the following call. The error is
// io.EOF at the end of a whole file, and only there.
func (c *Reader) Next() (Packet, error) {
	if err := c.skip(c.unread); err != nil {
		return Packet{}, err
	}
	c.unread = 0
	return c.next()
}

// skip leaves out bytes that the file must have.
func (c *Reader) skip(n int) error {
	_, err := c.r.Discard(n)
	if err != nil {
		return cutOff(err, "in the middle of a record")
	}
	return nil
}

// begins returns the first n bytes of a record, or io.EOF if none begins here.
func (c *Reader) begins(n int) ([]byte, error) {
	b, err := c.r.Peek(n)
	if errors.Is(err, io.EOF) && len(b) == 0 {
		return nil, io.EOF
	}
	if err != nil {
		return nil, cutOff(err, "in the middle of a record")
	}
	return b, nil
}

// record returns the first n bytes of a record that has begun. The file must have them
// all. They stay until the next packet is read.
func (c *Reader) record(n int) ([]byte, error) {
	b, err := c.r.Peek(n)
	if err != nil {
		return nil, cutOff(err, "in the middle of a record")
	}
	c.unread = n
	return b, nil
}

// cutOff turns an end of file into an error that says where it came. Other errors stay as
// they are.
func cutOff(err error, where string) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it ends %s: %w", where, io.ErrUnexpectedEOF)
	}
	return err
}

// checkLengths compares the two lengths that a packet has.
func checkLengths(captured, wire uint32) error {
	switch {
	case captured > maxPacket:
		return fmt.Errorf("a packet of %d bytes, and %d are the limit", captured, maxPacket)
	case captured > wire:
		return fmt.Errorf("%d bytes captured of a packet of %d", captured, wire)
	}
	return nil
}
