package pending

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/internal/flock"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// base is the directory of all that is pending. Each change has a directory in it:
//
//	record.json  what is known of the change, replaced as a whole; it is pending as long as that is there
//	lock         locked while the change is being made or ended; at the end it holds the outcome
//	waiter       locked by the process that waits for the end
//
// The lock beside them is taken while changes are compared with each other.
const base = "/run/xdpmux/pending"

// state is how far a change is.
type state string

const (
	making     state = "making"      // interfaces are being changed
	waiting    state = "waiting"     // for somebody to confirm it
	confirming state = "confirming"  // what was kept is being let go
	takingBack state = "taking back" // what was kept is being put back
)

// record is what is on disk of a change.
type record struct {
	State   state         `json:"state"`
	By      string        `json:"by"`
	Command string        `json:"command"`
	Netns   uint64        `json:"netns"` // inode of the network namespace
	Limit   time.Duration `json:"limit"`
	Ends    time.Duration `json:"ends"`             // since boot; 0: it is still being made
	Why     string        `json:"why"`              // of takingBack; of confirming: who
	Failed  string        `json:"failed,omitempty"` // why it could not be taken back yet
	Held    []held        `json:"held"`
	Guard   *Guard        `json:"guard,omitempty"`
	Auto    bool          `json:"auto,omitempty"` // it is confirmed when its time is over
}

// held is what was kept of one interface, and what the change has made of it.
type held struct {
	Before  *dispatcher.Chain `json:"before"`
	After   *dispatcher.Chain `json:"after"`
	MapPins []string          `json:"map_pins"`
	MapDirs []string          `json:"map_dirs"`
	Records desired.Kept      `json:"records"`
}

func (h held) is(index int) bool { return h.Before.Interface.Index == index }

// interfaces are those of the change, as they are called in its record.
func (r *record) interfaces() []xdp.Interface {
	all := make([]xdp.Interface, len(r.Held))
	for i, h := range r.Held {
		all[i] = h.Before.Interface
	}
	return all
}

func (c *Change) path(name string) string { return filepath.Join(c.dir, name) }

// read reads the record. It is nil if the change has ended.
func (c *Change) read() (*record, error) {
	data, err := os.ReadFile(c.path("record.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	rec := &record{}
	if err := json.Unmarshal(data, rec); err != nil {
		return nil, fmt.Errorf("read %s: %w", c.path("record.json"), err)
	}
	return rec, nil
}

// write replaces the record.
func (c *Change) write(rec *record) error {
	data, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	if now, err := os.ReadFile(c.path("record.json")); err == nil && bytes.Equal(now, data) {
		return nil // those who wait for a change of it are not to be woken
	}
	tmp := c.path("record.json.new")
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return cantWrite(err)
	}
	if err := os.Rename(tmp, c.path("record.json")); err != nil {
		return cantWrite(err)
	}
	return nil
}

func cantWrite(err error) error {
	return &xdp.Error{Kind: xdp.ErrSystem, Err: err, Msg: fmt.Sprintf("can't write down what is pending: %v", err),
		Remedy: "a change that waits to be confirmed is kept in " + base}
}

// lockAll keeps others from beginning a change, and from looking for what is left of one.
func lockAll(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(base, 0o700); err != nil {
		return nil, cantWrite(err)
	}
	f, err := openLock(filepath.Join(base, "lock"))
	if err != nil {
		return nil, cantWrite(err)
	}
	if err := flock.Lock(ctx, int(f.Fd())); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

func openLock(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
}

// all are the changes that have a directory, also those that have no record yet or no more.
// Errors: [xdp.ErrPermission] where the caller may not look, [xdp.ErrSystem].
func all() ([]*Change, error) {
	entries, err := os.ReadDir(base)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return nil, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, &xdp.Error{Kind: xdp.ErrPermission, Err: err, Msg: "can't tell which changes wait to be confirmed: " + err.Error(),
			Remedy: "run as root"}
	case err != nil:
		return nil, &xdp.Error{Kind: xdp.ErrSystem, Err: err, Msg: fmt.Sprintf("can't read what is pending: %v", err),
			Remedy: base + " has to be a directory that can be read"}
	}
	var changes []*Change
	for _, e := range entries {
		if e.IsDir() {
			changes = append(changes, &Change{ID: e.Name(), dir: filepath.Join(base, e.Name())})
		}
	}
	return changes, nil
}

// here are the changes of this network namespace that are pending, with their records.
func here() (changes []*Change, records []*record, err error) {
	found, err := all()
	if err != nil || len(found) == 0 {
		return nil, nil, err
	}
	netns, err := netnsInode()
	if err != nil {
		return nil, nil, err
	}
	for _, c := range found {
		rec, err := c.read()
		if err != nil {
			return nil, nil, err
		}
		if rec != nil && rec.Netns == netns {
			changes, records = append(changes, c), append(records, rec)
		}
	}
	return changes, records, nil
}

// on is the change that is pending on an interface; nil: none is.
func on(index int) (*Change, *record, error) {
	changes, records, err := here()
	if err != nil {
		return nil, nil, err
	}
	for i, rec := range records {
		if slices.ContainsFunc(rec.Held, func(h held) bool { return h.is(index) }) {
			return changes[i], rec, nil
		}
	}
	return nil, nil, nil
}

func netnsInode() (uint64, error) {
	var ns unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &ns); err != nil {
		return 0, err
	}
	return ns.Ino, nil
}

// sinceBoot is the time that no setting of the clock moves.
func sinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(err) // every kernel that runs a chain has this clock
	}
	return time.Duration(ts.Nano())
}

// locked says whether another process has the lock on a file.
func locked(f *os.File) (bool, error) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}
