package observe

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// A packet has the memory of one that was given back, and nothing else of it.
func TestRecycle(t *testing.T) {
	l := &Live{}
	traced := &tracer{programs: []xdp.Loaded{{ID: 7, Name: "one"}, {ID: 8, Name: "two"}}}
	// record is what the probe of the chain tells of a packet that has met so many programs.
	record := func(programs int, data string) []byte {
		r := make([]byte, headSize)
		binary.NativeEndian.PutUint16(r[headSeen:], 1<<programs-1)
		binary.NativeEndian.PutUint32(r[headCaptured:], uint32(len(data)))
		return append(r, data...)
	}
	long, short := record(2, "a long packet"), record(1, "short")
	decode := func(record []byte) *Trace {
		t := l.unused.take()
		traced.decodeLive(t, record, time.Time{})
		return t
	}
	kept := decode(long)
	if allocated := testing.AllocsPerRun(100, func() {
		l.Recycle(decode(long))
		got := decode(short)
		if string(got.Data) != "short" || len(got.Steps) != 1 || got.DecidedBy == nil || got.DecidedBy.Name != "one" {
			t.Errorf("%+v", got)
		}
		l.Recycle(got)
	}); allocated > 0 {
		t.Errorf("it allocates %v times", allocated)
	}
	if string(kept.Data) != "a long packet" || len(kept.Steps) != 2 {
		t.Errorf("what wasn't given back has changed: %+v", kept)
	}
}
