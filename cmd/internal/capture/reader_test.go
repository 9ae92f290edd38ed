package capture

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

const captures = "../../../test/observe/testdata/captures/"

// recorded are captures that tcpdump, Wireshark and gzip have written; make.sh beside them
// says how.
func recorded(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(captures + "*.pcap*")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 10 {
		t.Fatalf("%d captures: %v", len(files), files)
	}
	contents := map[string][]byte{}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		contents[filepath.Base(name)] = data
	}
	return contents
}

// readAll reads packets until the end or an error.
func readAll(data []byte) (packets []Packet, err error) {
	c, err := NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	for {
		p, err := c.Next()
		if errors.Is(err, io.EOF) && err != io.EOF {
			return packets, fmt.Errorf("an end that is none: %w", err)
		}
		if err == io.EOF {
			return packets, nil
		}
		if err != nil {
			return packets, err
		}
		p.Data = bytes.Clone(p.Data)
		packets = append(packets, p)
	}
}

// Every packet is read as tshark reads it.
func TestAsTshark(t *testing.T) {
	expected, err := os.Open(captures + "expected.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer expected.Close()
	want := map[string][]string{}
	for lines := bufio.NewScanner(expected); lines.Scan(); {
		file, packet, _ := strings.Cut(lines.Text(), " ")
		want[file] = append(want[file], packet)
	}
	encapsulation := map[uint32]int{Ethernet: 1, 276: 210}
	for name, data := range recorded(t) {
		packets, err := readAll(data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, p := range packets {
			got = append(got, fmt.Sprintf("%d.%09d %d %d %d", p.Time.Unix(), p.Time.Nanosecond(), p.Length, len(p.Data), encapsulation[p.LinkType]))
		}
		if fmt.Sprint(got) != fmt.Sprint(want[name]) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want[name], "\n"))
		}
	}
}

// The same packets are the same bytes in all forms of a file.
func TestSamePackets(t *testing.T) {
	files := recorded(t)
	want, err := readAll(files["micro.pcap"])
	if err != nil {
		t.Fatal(err)
	}
	others := map[string][]byte{"big-endian pcap": swapPcap(files["micro.pcap"]), "big-endian pcapng": swapNG(files["micro.pcapng"])}
	for _, name := range []string{"micro.pcap.gz", "micro.pcapng", "secrets.pcapng", "sections.pcapng", "mixed.pcapng"} {
		others[name] = files[name]
	}
	for name, data := range others {
		got, err := readAll(data)
		if err != nil || len(got) < len(want) {
			t.Errorf("%s: %d packets, %v", name, len(got), err)
			continue
		}
		for i := range want {
			if !got[i].Time.Equal(want[i].Time) || !bytes.Equal(got[i].Data, want[i].Data) || got[i].Length != want[i].Length || got[i].LinkType != want[i].LinkType {
				t.Errorf("%s: packet %d is %+v, want %+v", name, i+1, got[i], want[i])
			}
		}
	}
}

func swap16(b []byte) { b[0], b[1] = b[1], b[0] }
func swap32(b []byte) { b[0], b[1], b[2], b[3] = b[3], b[2], b[1], b[0] }

// swapPcap writes a little-endian pcap file as the other kind of machine does.
func swapPcap(data []byte) []byte {
	data = bytes.Clone(data)
	swap32(data)
	swap16(data[4:])
	swap16(data[6:])
	swap32(data[16:])
	swap32(data[20:])
	for at := pcapHeaderSize; at < len(data); {
		captured := binary.LittleEndian.Uint32(data[at+8:])
		for i := range 4 {
			swap32(data[at+4*i:])
		}
		at += pcapRecordSize + int(captured)
	}
	return data
}

// swapNG does it with a pcapng file whose blocks are of the types that editcap writes.
func swapNG(data []byte) []byte {
	data = bytes.Clone(data)
	options := func(b []byte) {
		for len(b) >= 4 {
			code, size := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
			swap16(b)
			swap16(b[2:])
			if code == optionEnd {
				return
			}
			b = b[4+(size+3)&^3:]
		}
	}
	for at := 0; at < len(data); {
		typ, size := binary.LittleEndian.Uint32(data[at:]), int(binary.LittleEndian.Uint32(data[at+4:]))
		block := data[at : at+size]
		body := block[8 : size-4]
		swap32(block)
		swap32(block[4:])
		swap32(block[size-4:])
		switch typ {
		case sectionHeader:
			swap32(body)
			swap16(body[4:])
			swap16(body[6:])
			options(body[sectionHeadSize:])
		case interfaceDesc:
			swap16(body)
			swap32(body[4:])
			options(body[idbSize:])
		case enhancedPacket:
			for i := range 5 {
				swap32(body[4*i:])
			}
		}
		at += size
	}
	return data
}

// ends are the places behind the whole records of a file that isn't compressed.
func ends(data []byte) map[int]bool {
	ends := map[int]bool{}
	if binary.BigEndian.Uint32(data) == sectionHeader {
		for at := 0; at < len(data); {
			at += int(binary.LittleEndian.Uint32(data[at+4:]))
			ends[at] = true
		}
		return ends
	}
	for at := pcapHeaderSize; ; at += pcapRecordSize + int(binary.LittleEndian.Uint32(data[at+8:])) {
		if ends[at] = true; at == len(data) {
			return ends
		}
	}
}

// A file that is cut anywhere but between two records doesn't pass for a whole one.
func TestCut(t *testing.T) {
	for name, data := range recorded(t) {
		whole := map[int]bool{len(data): true}
		if !strings.HasSuffix(name, ".gz") {
			whole = ends(data)
		}
		step := 1
		if len(data) > 2000 {
			step = 7
		}
		for n := 0; n <= len(data); n += step {
			_, err := readAll(data[:n])
			if (err == nil) != whole[n] {
				t.Fatalf("%s, cut to %d of %d bytes: %v", name, n, len(data), err)
			}
			if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%s, cut to %d of %d bytes: %v", name, n, len(data), err)
			}
		}
	}
}

// block is a little-endian block of a pcapng file.
func block(typ uint32, body ...byte) []byte {
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	size := uint32(blockFrame + len(body))
	b := binary.LittleEndian.AppendUint32(nil, typ)
	b = append(binary.LittleEndian.AppendUint32(b, size), body...)
	return binary.LittleEndian.AppendUint32(b, size)
}

func words(values ...uint32) (b []byte) {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

var (
	section  = block(sectionHeader, words(byteOrderMagic, 1, 0xffffffff, 0xffffffff)...)
	ethernet = block(interfaceDesc, words(Ethernet, 0)...)
	header   = append(words(microseconds), append([]byte{2, 0, 4, 0}, words(0, 0, 65535, Ethernet)...)...)
)

func described(options ...byte) []byte {
	return block(interfaceDesc, append(words(Ethernet, 60), options...)...)
}

func TestDamaged(t *testing.T) {
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	sized := func(b []byte, size uint32) []byte {
		b = bytes.Clone(b)
		binary.LittleEndian.PutUint32(b[4:], size)
		return b
	}
	packet := block(enhancedPacket, append(words(0, 0, 1, 4, 4), 1, 2, 3, 4)...)
	resolution := func(r byte) []byte { return described(optionTsResol, 0, 1, 0, r, 0, 0, 0) }
	for _, c := range []struct {
		name string
		data []byte
		want string // "": it is whole
	}{
		{"text", []byte("this is no capture"), "begins like no capture"},
		{"nothing", nil, "it ends in its first bytes"},
		{"nothing in gzip", []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"), "it ends in its first bytes"},
		{"pcap of no packets", header, ""},
		{"an old version", join(words(microseconds), []byte{2, 0, 3, 0}, words(0, 0, 65535, 1)), "version 2.3 of pcap"},
		{"4 GB in a pcap file", join(header, words(0, 0, 0xffffffff, 0xffffffff)), "a packet of 4294967295 bytes, and 262144 are the limit"},
		{"longer than on the wire", join(header, words(0, 0, 4, 3, 0)), "4 bytes captured of a packet of 3"},
		{"a section without packets", section, ""},
		{"no order", join(block(sectionHeader, words(0x11223344, 1, 0, 0)...)), "no known order"},
		{"version 2 of pcapng", join(block(sectionHeader, words(byteOrderMagic, 2, 0, 0)...)), "version 2.0 of pcapng"},
		{"a short section header", join(block(sectionHeader, words(byteOrderMagic)...)), "a section header of 4 bytes"},
		{"4 GB of a block", join(section, sized(ethernet, 0xfffffffc)), "a block of 4294967292 bytes, and 327680 are the limit"},
		{"4 GB of an unknown block", join(section, sized(block(99), 0xfffffffc)), "it ends in the middle of a record"},
		{"a block smaller than its frame", join(section, sized(ethernet, 8)), "a block of 8 bytes"},
		{"a crooked block", join(section, sized(ethernet, 21), []byte{0}), "a block of 21 bytes"},
		{"another length behind", join(section, ethernet[:16], words(24)), "a block of 20 bytes has 24 written behind it"},
		{"the same of an unknown block", join(section, block(99)[:8], words(16)), "a block of 12 bytes has 16 written behind it"},
		{"packet", join(section, ethernet, block(99, 1, 2, 3), packet), ""},
		{"packet without interface", join(section, packet), "a packet of interface 0, and the section has 0"},
		{"packet of the section before", join(section, ethernet, section, packet), "a packet of interface 0, and the section has 0"},
		{"packet longer than its block", join(section, ethernet, block(enhancedPacket, words(0, 0, 0, 8, 8, 0)...)), "a packet of 8 bytes in a block that has 4"},
		{"4 GB in a block", join(section, ethernet, block(enhancedPacket, words(0, 0, 0, 0xffffffff, 0xffffffff)...)), "a packet of 4294967295 bytes"},
		{"a block without room", join(section, ethernet, block(enhancedPacket, words(0, 0, 0)...)), "a packet block of 12 bytes"},
		{"old packet", join(section, ethernet, block(oldPacket, words(7<<16, 0, 0, 4, 4, 0)...)), ""},
		{"simple packet", join(section, ethernet, block(simplePacket, words(4, 0)...)), ""},
		{"simple packet without interface", join(section, block(simplePacket, words(4, 0)...)), "the section has no interface"},
		{"an empty simple packet block", join(section, ethernet, block(simplePacket)), "a simple packet block of 0 bytes"},
		{"a short description", join(section, block(interfaceDesc, words(1)...)), "a description of an interface of 4 bytes"},
		{"an option over the end", join(section, described(2, 0, 9, 0, 'e', 't', 'h', '0')), "option 2 of 9 bytes, and 4 are left"},
		{"if_tsresol without a value", join(section, described(optionTsResol, 0, 0, 0)), "option 9 of 0 bytes"},
		{"if_tsresol 0x7f", join(section, resolution(0x7f)), "if_tsresol 0x7f"},
		{"if_tsresol 0xff", join(section, resolution(0xff)), "if_tsresol 0xff"},
		{"if_tsresol 20", join(section, resolution(20)), "if_tsresol 0x14"},
		{"if_tsresol 19", join(section, resolution(19), packet), ""},
		{"if_tsresol 2^-63", join(section, resolution(0x80|63), packet), ""},
		{"if_tsresol of seconds", join(section, resolution(0), packet), ""},
		{"a year that is none", join(section, resolution(0), block(enhancedPacket, words(0, 0x7fffffff, 0, 0, 0)...)), "no year"},
		{"an offset before 1970", join(section, described(optionTsOffset, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0x80), packet), "no year"},
	} {
		_, err := readAll(c.data)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// Times are those of the units and the offset that the interface is said to have.
func TestTimes(t *testing.T) {
	for _, c := range []struct {
		options []byte
		stamp   uint64
		want    time.Time
	}{
		{nil, 1_500_000, time.Unix(1, 500_000_000)},
		{[]byte{optionTsResol, 0, 1, 0, 9, 0, 0, 0}, 1_500_000, time.Unix(0, 1_500_000)},
		{[]byte{optionTsResol, 0, 1, 0, 0, 0, 0, 0}, 7, time.Unix(7, 0)},
		{[]byte{optionTsResol, 0, 1, 0, 0x81, 0, 0, 0}, 7, time.Unix(3, 500_000_000)},
		{[]byte{optionTsResol, 0, 1, 0, 19, 0, 0, 0}, 15_000_000_000_000_000_000, time.Unix(1, 500_000_000)},
		{[]byte{optionTsResol, 0, 1, 0, 0x80 | 63, 0, 0, 0}, 3 << 62, time.Unix(1, 500_000_000)},
		{[]byte{optionTsOffset, 0, 8, 0, 100, 0, 0, 0, 0, 0, 0, 0}, 1_500_000, time.Unix(101, 500_000_000)},
	} {
		packets, err := readAll(bytes.Join([][]byte{section, described(c.options...),
			block(enhancedPacket, words(0, uint32(c.stamp>>32), uint32(c.stamp), 0, 0)...)}, nil))
		if err != nil || len(packets) != 1 || !packets[0].Time.Equal(c.want) {
			t.Errorf("% x: %v, %v, want %v", c.options, packets, err, c.want)
		}
	}
}

// check reads a file that may be anything. What it says is bounded by the file.
func check(t *testing.T, data []byte) {
	packets, err := readAll(data)
	again, errAgain := readAll(data)
	if fmt.Sprint(err) != fmt.Sprint(errAgain) || len(packets) != len(again) {
		t.Errorf("%d packets, %v, and the second time %d, %v", len(packets), err, len(again), errAgain)
	}
	total := 0
	for i, p := range packets {
		if total += len(p.Data); len(p.Data) > p.Length || len(p.Data) > maxPacket {
			t.Errorf("packet %d: %d bytes of %d", i+1, len(p.Data), p.Length)
		}
		if _, err := p.Time.MarshalJSON(); err != nil || p.Time.UnixNano() < 0 {
			t.Errorf("packet %d: %v, %v", i+1, p.Time, err)
		}
	}
	if compressed := len(data) > 2 && data[0] == 0x1f && data[1] == 0x8b; total > len(data) && !compressed {
		t.Errorf("%d bytes of packets in a file of %d", total, len(data))
	}
}

// Five thousand damaged files make no crash, no hang, and take no memory that they don't
// have themselves.
func TestMutants(t *testing.T) {
	files := recorded(t)
	const each = 500
	start, good := time.Now(), 0
	for name, data := range files {
		random := rand.New(rand.NewPCG(1, uint64(len(data))))
		for n := range each {
			mutant := mutate(random, data)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			check(t, mutant)
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > 32<<20 {
				t.Errorf("mutant %d of %s: %d bytes allocated", n, name, took)
			}
			if _, err := readAll(mutant); err == nil {
				good++
			}
			if t.Failed() {
				t.Fatalf("mutant %d of %s", n, name)
			}
		}
	}
	t.Logf("%d of %d mutants are whole files, in %v", good, each*len(files), time.Since(start))
}

// mutate damages a file: a few bytes, a number, or its length.
func mutate(random *rand.Rand, data []byte) []byte {
	data = bytes.Clone(data)
	for range 1 + random.IntN(4) {
		at := random.IntN(len(data))
		if random.IntN(2) == 0 {
			at = random.IntN(min(len(data), 200)) // headers are there
		}
		switch random.IntN(6) {
		case 0:
			data[at] = byte(random.Uint32())
		case 1:
			data[at] ^= 1 << random.IntN(8)
		case 2, 3:
			odd := []uint32{0, 1, 7, 11, 12, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffc, uint32(len(data))}
			if at = at &^ 3; at+4 <= len(data) {
				binary.LittleEndian.PutUint32(data[at:], odd[random.IntN(len(odd))])
			}
		case 4:
			data = data[:max(at, 1)]
		case 5:
			end := min(len(data), at+random.IntN(64))
			data = append(data[:at:at], append(bytes.Clone(data[at:end]), data[at:]...)...)
		}
	}
	return data
}

func FuzzReader(f *testing.F) {
	for _, data := range recorded(f) {
		if len(data) < 2000 {
			f.Add(data)
		}
	}
	f.Add(bytes.Join([][]byte{section, described(optionTsResol, 0, 1, 0, 9, 0, 0, 0), block(simplePacket, words(4, 0)...), block(oldPacket, words(0, 0, 0, 4, 4, 0)...)}, nil))
	f.Add(swapPcap(append(bytes.Clone(header), words(0, 0, 4, 4, 0)...)))
	f.Fuzz(check)
}
