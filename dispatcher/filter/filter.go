// Package filter compiles filters in the language of tcpdump, pcap-filter(7), for a trace of
// package observe. It stands apart from that package because it needs libpcap.
package filter

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libpcap"
	"github.com/xdpmux/xdpmux/dispatcher/internal/classic"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Filter takes some packets. It never changes.
type Filter struct {
	words   string
	program []unix.SockFilter
}

// Compile reads a filter for Ethernet frames. The empty one takes all packets. ip broadcast is what
// tcpdump takes it for in a file: the network isn't known, so only addresses of nothing but ones,
// or zeros, are.
//
// Errors: [xdp.ErrInvalid], which says where in the filter, with an [*Error] in it.
func Compile(words string) (*Filter, error) {
	program, err := compile(words)
	if err == nil {
		return &Filter{words, program}, nil
	}
	if failed := new(libpcap.Error); !errors.As(err, &failed) && !refused(err) {
		return nil, &xdp.Error{Kind: xdp.ErrSystem, Err: err, Msg: fmt.Sprintf("can't compile the filter: %v", err)}
	}
	at := find(words, err)
	return nil, &xdp.Error{Kind: xdp.ErrInvalid, Err: at, Msg: at.Error(),
		Remedy: "the language is tcpdump's: man pcap-filter"}
}

// compile also finds out whether the kernel can run the filter.
func compile(words string) ([]unix.SockFilter, error) {
	program, err := libpcap.Compile(words, classic.Window, 0)
	if err != nil {
		return nil, err
	}
	_, err = classic.Translate(program)
	return program, err
}

// refused says whether the kernel couldn't run the filter.
func refused(err error) bool {
	return errors.Is(err, classic.ErrLoop) || errors.Is(err, classic.ErrMetadata) || errors.Is(err, classic.ErrLong)
}

// String is the filter in tcpdump's language.
func (f *Filter) String() string { return f.words }

// Program is the filter in classic BPF, which a packet socket takes too.
func (f *Filter) Program() []unix.SockFilter { return f.program }

// Match says whether the filter takes a packet of length bytes, of which data is the beginning.
func (f *Filter) Match(data []byte, length int) bool { return libpcap.Match(f.program, data, length) }
