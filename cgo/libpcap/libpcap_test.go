package libpcap_test

import (
	"errors"
	"testing"

	"github.com/xdpmux/xdpmux/cgo/libpcap"
)

func TestCompile(t *testing.T) {
	program, err := libpcap.Compile("arp", 100, 0)
	if err != nil {
		t.Fatal(err)
	}
	arp := []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x08, 0x06, 0, 1}
	ip := append(append([]byte{}, arp[:13]...), 0x00, 0x45)
	if !libpcap.Match(program, arp, len(arp)) || libpcap.Match(program, ip, len(ip)) {
		t.Error("arp doesn't tell ARP from IP")
	}
	if libpcap.Match(program, arp[:13], len(arp)) {
		t.Error("arp takes a packet whose type was not captured")
	}
	last := program[len(program)-2:]
	if last[0].K != 100 || last[1].K != 0 {
		t.Errorf("%+v returns something else than the length to keep, or 0", last)
	}
}

func TestMatchWholeLength(t *testing.T) {
	program, err := libpcap.Compile("greater 1000", 100, 0)
	if err != nil {
		t.Fatal(err)
	}
	if !libpcap.Match(program, make([]byte, 60), 1000) || libpcap.Match(program, make([]byte, 60), 999) {
		t.Error("greater doesn't look at the length on the wire")
	}
}

func TestCompileError(t *testing.T) {
	var failed *libpcap.Error
	if _, err := libpcap.Compile("port 99999", 100, 0); !errors.As(err, &failed) || failed.Text == "" {
		t.Errorf("%v", err)
	}
	program, err := libpcap.Compile("", 100, 0)
	if err != nil || !libpcap.Match(program, nil, 0) {
		t.Errorf("the empty filter: %v, %v", program, err)
	}
}
