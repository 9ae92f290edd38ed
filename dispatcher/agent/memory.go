package agent

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher/internal/device"
	"github.com/xdpmux/xdpmux/dispatcher/internal/flock"
	"github.com/xdpmux/xdpmux/dispatcher/internal/private"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// base is the directory of what agents know, one directory for each network namespace.
const base = "/run/xdpmux/agent"

// memory is what outlives an agent, until the next boot.
type memory struct {
	Dir        string            `json:"dir"` // of the files
	Generation int               `json:"generation"`
	Interfaces []*kept           `json:"interfaces"`
	Files      map[string]string `json:"files"` // what they held when they could be read last

	dir     string
	lock    *os.File
	written []byte
}

// openMemory reads what the last agent of this network namespace knew, and keeps another one
// from running beside this one ([xdp.ErrBusy]).
func openMemory() (*memory, error) {
	number, cookie, err := device.Netns()
	if err != nil {
		return nil, err
	}
	m := &memory{dir: filepath.Join(base, fmt.Sprintf("%d-%d", number, cookie))}
	if err := private.MakeDir(m.dir); err != nil {
		return nil, m.cantKeep(err)
	}
	m.lock, err = os.OpenFile(filepath.Join(m.dir, "lock"), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, m.cantKeep(err)
	}
	if err := unix.Flock(int(m.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder := cmp.Or(flock.Holder(int(m.lock.Fd())), "another process")
		m.lock.Close()
		m.turnedAway()
		return nil, &xdp.Error{Kind: xdp.ErrBusy, Err: err, Msg: holder + " is the agent of this network namespace already",
			Remedy: "end that one first: two would undo each other's changes"}
	}
	m.others() // which were told to the last agent
	data, err := os.ReadFile(m.file())
	if err == nil {
		err = json.Unmarshal(data, m)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.lock.Close()
		return nil, &xdp.Error{Kind: xdp.ErrSystem, Err: err, Msg: fmt.Sprintf("what the last agent knew can't be read: %v", err),
			Remedy: fmt.Sprintf("remove %s, and this agent takes what runs for what it finds", m.file())}
	}
	return m, nil
}

func (m *memory) file() string { return filepath.Join(m.dir, "known.json") }

func (m *memory) cantKeep(err error) error {
	return &xdp.Error{Kind: xdp.ErrSystem, Err: err, Msg: fmt.Sprintf("the agent can't keep what it knows in %s: %v", m.dir, err),
		Remedy: "it needs to write there, to know after a restart what it has done"}
}

// refused is the file that agents write to that are turned away.
func (m *memory) refused() string { return filepath.Join(m.dir, "refused") }

// turnedAway tells the agent that runs of this process, which ends and says so too.
func (m *memory) turnedAway() {
	f, err := os.OpenFile(m.refused(), os.O_CREATE|os.O_WRONLY|os.O_APPEND|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	fmt.Fprintf(f, "process %d\n", os.Getpid())
}

// others are the processes that were turned away since the last call.
func (m *memory) others() []string {
	data, err := os.ReadFile(m.refused())
	if err != nil {
		return nil
	}
	_ = os.Remove(m.refused())
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

// write writes what has changed since the last call.
func (m *memory) write() error {
	data, err := json.Marshal(m)
	if err != nil || bytes.Equal(data, m.written) {
		return err
	}
	tmp := m.file() + ".tmp"
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return m.cantKeep(err)
	}
	if err := os.Rename(tmp, m.file()); err != nil {
		return m.cantKeep(err)
	}
	m.written = data
	return nil
}

// close lets another agent run.
func (m *memory) close() { m.lock.Close() }
