package capture

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"time"
)

// The types of blocks (draft-ietf-opsawg-pcapng) that are looked into.
const (
	sectionHeader   = 0x0a0d0d0a // reads the same in both orders
	interfaceDesc   = 1
	oldPacket       = 2
	simplePacket    = 3
	enhancedPacket  = 6
	byteOrderMagic  = 0x1a2b3c4d
	blockFrame      = 12 // type and length before, the length again behind
	optionEnd       = 0
	optionTsResol   = 9
	optionTsOffset  = 14
	maxInterfaces   = 1 << 16
	sectionHeadSize = 16 // magic, version, length of the section
	idbSize         = 8
	epbSize         = 20
	spbSize         = 4
)

// iface is what a packet needs of its interface.
type iface struct {
	link    uint32
	snapLen uint32
	units   uint64 // of its times, in a second
	offset  int64  // of its times, in seconds
}

func (c *Reader) firstSection() error {
	typ, body, err := c.block()
	if err != nil {
		return err
	}
	return c.look(typ, body)
}

// block returns the next block, without its frame. body is nil if the reader doesn't look
// into blocks of that type.
func (c *Reader) block() (typ uint32, body []byte, err error) {
	head, err := c.begins(blockFrame)
	if err != nil {
		return 0, nil, err
	}
	if binary.BigEndian.Uint32(head) == sectionHeader {
		if c.order = orderOf(head[8:]); c.order == nil {
			return 0, nil, fmt.Errorf("a section in no known order of bytes")
		}
	}
	typ = c.order.Uint32(head)
	size := c.order.Uint32(head[4:])
	if size < blockFrame || size%4 != 0 {
		return 0, nil, fmt.Errorf("a block of %d bytes", size)
	}
	switch typ {
	case sectionHeader, interfaceDesc, oldPacket, simplePacket, enhancedPacket:
		if size > maxBlock {
			return 0, nil, fmt.Errorf("a block of %d bytes, and %d are the limit", size, maxBlock)
		}
		whole, err := c.record(int(size))
		if err != nil {
			return 0, nil, err
		}
		return typ, whole[8 : size-4], sameSize(size, c.order.Uint32(whole[size-4:]))
	}
	if err := c.skip(int(size) - 4); err != nil {
		return 0, nil, err
	}
	again, err := c.record(4)
	if err != nil {
		return 0, nil, err
	}
	return typ, nil, sameSize(size, c.order.Uint32(again))
}

func orderOf(magic []byte) binary.ByteOrder {
	switch uint32(byteOrderMagic) {
	case binary.LittleEndian.Uint32(magic):
		return binary.LittleEndian
	case binary.BigEndian.Uint32(magic):
		return binary.BigEndian
	}
	return nil
}

func sameSize(before, behind uint32) error {
	if before != behind {
		return fmt.Errorf("a block of %d bytes has %d written behind it", before, behind)
	}
	return nil
}

func (c *Reader) nextNG() (Packet, error) {
	for {
		typ, body, err := c.block()
		if err != nil {
			return Packet{}, err
		}
		switch typ {
		case enhancedPacket, oldPacket:
			return c.packet(typ, body)
		case simplePacket:
			return c.simple(body)
		}
		if err := c.look(typ, body); err != nil {
			return Packet{}, err
		}
		if err := c.skip(c.unread); err != nil {
			return Packet{}, err
		}
		c.unread = 0
	}
}

// look takes in a block that is no packet.
func (c *Reader) look(typ uint32, body []byte) error {
	switch typ {
	case sectionHeader:
		if len(body) < sectionHeadSize {
			return fmt.Errorf("a section header of %d bytes", len(body))
		}
		// Version 1.2 differs from 1.0 in the types of blocks that it knows.
		if major, minor := c.order.Uint16(body[4:]), c.order.Uint16(body[6:]); major != 1 || minor != 0 && minor != 2 {
			return fmt.Errorf("version %d.%d of pcapng, and only 1.0 and 1.2 are known", major, minor)
		}
		c.ifaces = c.ifaces[:0]
	case interfaceDesc:
		if len(c.ifaces) == maxInterfaces {
			return fmt.Errorf("more than %d interfaces in a section", maxInterfaces)
		}
		i, err := c.iface(body)
		if err != nil {
			return err
		}
		c.ifaces = append(c.ifaces, i)
	}
	return nil
}

func (c *Reader) iface(body []byte) (iface, error) {
	if len(body) < idbSize {
		return iface{}, fmt.Errorf("a description of an interface of %d bytes", len(body))
	}
	i := iface{link: uint32(c.order.Uint16(body)), snapLen: c.order.Uint32(body[4:]), units: 1e6}
	for rest := body[idbSize:]; len(rest) > 0; {
		if len(rest) < 4 {
			return iface{}, fmt.Errorf("%d bytes where an option would be", len(rest))
		}
		code, size := c.order.Uint16(rest), int(c.order.Uint16(rest[2:]))
		if code == optionEnd {
			break
		}
		if size > len(rest)-4 {
			return iface{}, fmt.Errorf("option %d of %d bytes, and %d are left of its block", code, size, len(rest)-4)
		}
		value := rest[4 : 4+size]
		switch {
		case code == optionTsResol && size == 1:
			if i.units = unitsOf(value[0]); i.units == 0 {
				return iface{}, fmt.Errorf("times in units of which no 64 bits hold a second (if_tsresol %#x)", value[0])
			}
		case code == optionTsOffset && size == 8:
			i.offset = int64(c.order.Uint64(value))
		case code == optionTsResol, code == optionTsOffset:
			return iface{}, fmt.Errorf("option %d of %d bytes", code, size)
		}
		rest = rest[min(4+(size+3)&^3, len(rest)):]
	}
	return i, nil
}

// unitsOf reads if_tsresol: a negative power of two if the highest bit is set, otherwise
// of ten. It returns 0 if 64 bits can't hold the number.
func unitsOf(resolution byte) uint64 {
	exponent := int(resolution & 0x7f)
	if resolution&0x80 != 0 {
		return 1 << exponent
	}
	if exponent > 19 {
		return 0
	}
	units := uint64(1)
	for range exponent {
		units *= 10
	}
	return units
}

// packet reads the body of an enhanced packet block. It reads that of the older packet
// block too, whose interface has 16 bits and is followed by a number of drops.
func (c *Reader) packet(typ uint32, body []byte) (Packet, error) {
	if len(body) < epbSize {
		return Packet{}, fmt.Errorf("a packet block of %d bytes", len(body))
	}
	number := c.order.Uint32(body)
	if typ == oldPacket {
		number = uint32(c.order.Uint16(body))
	}
	if int64(number) >= int64(len(c.ifaces)) {
		return Packet{}, fmt.Errorf("a packet of interface %d, and the section has %d of them", number, len(c.ifaces))
	}
	i := c.ifaces[number]
	at, err := i.time(uint64(c.order.Uint32(body[4:]))<<32 | uint64(c.order.Uint32(body[8:])))
	if err != nil {
		return Packet{}, err
	}
	return dataOf(body[epbSize:], c.order.Uint32(body[12:]), c.order.Uint32(body[16:]), at, i.link)
}

// simple reads a simple packet block. Its packet came in on the first interface, is cut at
// that one's limit, and has no time.
func (c *Reader) simple(body []byte) (Packet, error) {
	switch {
	case len(body) < spbSize:
		return Packet{}, fmt.Errorf("a simple packet block of %d bytes", len(body))
	case len(c.ifaces) == 0:
		return Packet{}, fmt.Errorf("a packet, and the section has no interface")
	}
	wire := c.order.Uint32(body)
	captured := wire
	if limit := c.ifaces[0].snapLen; limit != 0 {
		captured = min(captured, limit)
	}
	return dataOf(body[spbSize:], captured, wire, time.Unix(0, 0).UTC(), c.ifaces[0].link)
}

func dataOf(rest []byte, captured, wire uint32, at time.Time, link uint32) (Packet, error) {
	if err := checkLengths(captured, wire); err != nil {
		return Packet{}, err
	}
	if int(captured) > len(rest) {
		return Packet{}, fmt.Errorf("a packet of %d bytes in a block that has %d for it", captured, len(rest))
	}
	return Packet{Time: at, Data: rest[:captured], Length: int(wire), LinkType: link}, nil
}

// lastSecond is the end of what nanoseconds since 1970 can say, in the year 2262.
const lastSecond = math.MaxInt64 / 1_000_000_000

func (i iface) time(stamp uint64) (time.Time, error) {
	seconds, rest := stamp/i.units, stamp%i.units
	if seconds > lastSecond || i.offset > lastSecond || i.offset < -lastSecond {
		return time.Time{}, fmt.Errorf("a packet of no year that can be written")
	}
	total := int64(seconds) + i.offset
	if total < 0 || total >= lastSecond {
		return time.Time{}, fmt.Errorf("a packet of no year that can be written")
	}
	high, low := bits.Mul64(rest, 1_000_000_000)
	part, _ := bits.Div64(high, low, i.units)
	return time.Unix(total, int64(part)).UTC(), nil
}
