package device

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Notice is what the kernel has told of an interface.
type Notice struct {
	Device
	Gone    bool // it is no longer in this network namespace
	Deleted bool // and in no other; the program is then the last one that was heard of since Take
}

// Watcher hears what the kernel tells of the interfaces of the network namespace in which it
// was made: that one comes, goes, is renamed, gets or loses a program (RTNLGRP_LINK of
// rtnetlink(7)). A program that comes or goes by a bpf_link is not told.
type Watcher struct {
	socket *nl.NetlinkSocket
	wake   chan struct{}
	ended  chan struct{}

	mu      sync.Mutex
	notices map[int]Notice // the last of each interface, by its index
	missed  bool
	err     error
}

// watchBuffer is how much the kernel keeps while nobody reads, in bytes: some thousand messages.
const watchBuffer = 4 << 20

// Watch begins to hear. Close ends that.
func Watch() (*Watcher, error) {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
	if err != nil {
		return nil, fmt.Errorf("hear of interfaces: %w", err)
	}
	_ = s.SetReceiveBufferSize(watchBuffer, true) // with less, more is missed, which is told
	w := &Watcher{socket: s, wake: make(chan struct{}, 1), ended: make(chan struct{}), notices: map[int]Notice{}}
	go w.receive()
	return w, nil
}

// Wake tells that Take has something.
func (w *Watcher) Wake() <-chan struct{} { return w.wake }

// Take is what was heard since the last call, of each interface the last. missed says that the
// kernel had more to tell than could be kept: whoever wants to know all has to ask, see [All].
// After an error nothing more is heard.
func (w *Watcher) Take() (notices []Notice, missed bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.notices {
		notices = append(notices, n)
	}
	missed, err = w.missed, w.err
	clear(w.notices)
	w.missed = false
	return notices, missed, err
}

// Close ends the watching. It is idempotent.
func (w *Watcher) Close() error {
	w.socket.Close()
	<-w.ended
	return nil
}

func (w *Watcher) receive() {
	defer close(w.ended)
	for {
		messages, _, err := w.socket.Receive()
		if errors.Is(err, os.ErrClosed) {
			return
		}
		w.mu.Lock()
		switch {
		case errors.Is(err, unix.ENOBUFS):
			w.missed = true
		case err != nil:
			w.err = fmt.Errorf("hear of interfaces: %w", err)
		}
		for _, m := range messages {
			w.hear(m.Header.Type, m.Data)
		}
		w.mu.Unlock()
		select {
		case w.wake <- struct{}{}:
		default:
		}
		if w.err != nil {
			return
		}
	}
}

// hear takes a message. Those of another family than AF_UNSPEC are about a bridge's ports.
func (w *Watcher) hear(kind uint16, msg []byte) {
	if kind != unix.RTM_NEWLINK && kind != unix.RTM_DELLINK || len(msg) < unix.SizeofIfInfomsg || msg[0] != unix.AF_UNSPEC {
		return
	}
	n := Notice{Device: parse(msg)}
	if kind == unix.RTM_DELLINK {
		n.Gone, n.Deleted = true, true
		eachAttr(msg[unix.SizeofIfInfomsg:], func(kind uint16, _ []byte) {
			if kind == unix.IFLA_NEW_NETNSID {
				n.Deleted = false
			}
		})
		n.ProgID = w.notices[n.Index].ProgID
	}
	w.notices[n.Index] = n
}
