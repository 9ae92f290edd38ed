package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// ErrFormat is the error of a file that begins like no capture.
var ErrFormat = errors.New("it begins like no capture")

// The numbers that pcap files begin with. Their order of bytes is that of the machine
// that wrote them.
const (
	microseconds = 0xa1b2c3d4
	nanoseconds  = 0xa1b23c4d
)

const (
	pcapHeaderSize = 24
	pcapRecordSize = 16
	linkTypeMask   = 1<<26 - 1 // above it the length of checksums
)

func (c *Reader) pcapHeader(magic []byte) error {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch order.Uint32(magic) {
		case microseconds:
			c.order, c.tick = order, time.Microsecond
		case nanoseconds:
			c.order, c.tick = order, time.Nanosecond
		}
	}
	if c.order == nil {
		return ErrFormat
	}
	header, err := c.begins(pcapHeaderSize)
	if err != nil {
		return err
	}
	if major, minor := c.order.Uint16(header[4:]), c.order.Uint16(header[6:]); major != 2 || minor != 4 {
		return fmt.Errorf("version %d.%d of pcap, and only 2.4 is known", major, minor)
	}
	c.link = c.order.Uint32(header[20:]) & linkTypeMask
	return c.skip(pcapHeaderSize)
}

func (c *Reader) nextPcap() (Packet, error) {
	header, err := c.begins(pcapRecordSize)
	if err != nil {
		return Packet{}, err
	}
	captured, wire := c.order.Uint32(header[8:]), c.order.Uint32(header[12:])
	if err := checkLengths(captured, wire); err != nil {
		return Packet{}, err
	}
	record, err := c.record(pcapRecordSize + int(captured))
	if err != nil {
		return Packet{}, err
	}
	part := time.Duration(c.order.Uint32(record[4:])) * c.tick
	return Packet{
		Time:     time.Unix(int64(c.order.Uint32(record)), int64(part)).UTC(),
		Data:     record[pcapRecordSize:],
		Length:   int(wire),
		LinkType: c.link,
	}, nil
}
