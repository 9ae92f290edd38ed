package device

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
	"github.com/xdpmux/xdpmux/dispatcher/internal/proc"
)

// NetnsSearch finds the network namespaces that live, by all that may keep one alive and
// can be seen: threads that are in it, mounts of it in any mount namespace, and descriptors
// and sockets of processes. Nobody can see what is mounted in a mount namespace without
// processes, descriptors in a message that waits in a socket (SCM_RIGHTS), and files that
// only io_uring has.
type NetnsSearch struct {
	// visit is called once for each namespace, with a descriptor of it that is closed
	// afterwards, and with words for it, such as "network namespace blue". Its error ends the
	// search.
	Visit func(fd int, name string) error

	nsfs    uint64            // the device of all namespaces' files
	visited map[uint64]bool   // inode numbers of network namespaces
	hidden  map[uint64]hiding // mounts that couldn't be opened, by the same
	seen    map[string]bool   // views of mounts and sockets that have been looked at
}

// OwnNetns is what visit is told of the caller's.
const OwnNetns = "this network namespace"

// AllIn are the interfaces of a namespace. The calling thread goes into that namespace: see
// [OnThread].
func AllIn(fd int) ([]Device, error) {
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return nil, os.NewSyscallError("setns", err)
	}
	return All()
}

// OpenOwnNetns opens the network namespace of the caller, which is that of the thread that runs
// this: a search goes on on another one. Errors: [*NetnsError].
func OpenOwnNetns() (fd int, err error) {
	const own = "/proc/thread-self/ns/net"
	if fd, err = unix.Open(own, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return -1, &NetnsError{What: own, Err: err}
	}
	return fd, nil
}

// OnThread calls f on a thread of its own, and waits for it. The goroutine never unlocks the
// thread, which therefore ends with it: no other goroutine gets a thread that is in another
// namespace.
func OnThread(f func() error) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		err = f()
	}()
	<-done
	return err
}

// NetnsError is the error of something that can't be read. It may hide a namespace.
type NetnsError struct {
	What   string
	Err    error
	Remedy string // empty: it follows from err
}

func (e *NetnsError) Error() string { return e.What + " can't be read: " + native.Cause(e.Err) }

func (e *NetnsError) Unwrap() error { return e.Err }

// unlessEnded is the error of something that can't be read of a process or thread. It is nil
// if that process or thread has ended.
func unlessEnded(what string, err error) error {
	if err == nil || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
		return nil
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return &NetnsError{What: what, Err: err}
}

// Run looks everywhere. own is the caller's network namespace.
func (s *NetnsSearch) Run(own int) error {
	s.visited, s.hidden, s.seen = map[uint64]bool{}, map[uint64]hiding{}, map[string]bool{}
	var st unix.Stat_t
	if err := unix.Fstat(own, &st); err != nil {
		return fmt.Errorf("this network namespace: %w", err)
	}
	s.nsfs = st.Dev
	if err := s.found(own, OwnNetns); err != nil {
		return err
	}
	if _, err := s.mounts("/proc/self", ""); err != nil {
		return err
	}
	for _, look := range []func(task) error{s.mountsOf, s.namespaceOf, s.filesOf} {
		if err := eachTask(look); err != nil {
			return err
		}
	}
	for inode, h := range s.hidden {
		// A namespace that came and went may have left its number to the next one.
		for try := 0; !s.visited[inode] && h.mounted(inode); try++ {
			if err := s.open(h.path, h.name); err != nil {
				return err
			}
			if try < 10 {
				continue
			}
			return &NetnsError{What: h.name, Err: errors.New("something else is mounted there"), Remedy: "unmount what lies over it"}
		}
	}
	return checkProcessesSeen()
}

// found visits the namespace of a descriptor, unless it was visited before or isn't a network
// namespace.
func (s *NetnsSearch) found(fd int, name string) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &NetnsError{What: name, Err: err}
	}
	if st.Dev != s.nsfs || s.visited[st.Ino] {
		return nil
	}
	kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE)
	if err != nil {
		return &NetnsError{What: name, Err: err}
	}
	if kind != unix.CLONE_NEWNET {
		return nil
	}
	if err := s.Visit(fd, name); err != nil {
		return err
	}
	s.visited[st.Ino] = true
	return nil
}

// open is found for a path.
func (s *NetnsSearch) open(path, name string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return unlessEnded(name, err)
	}
	defer unix.Close(fd)
	return s.found(fd, name)
}

// mountsOf looks through the mounts that a thread sees.
func (s *NetnsSearch) mountsOf(t task) error {
	namespace, err := os.Readlink(t.dir + "/ns/mnt")
	if err != nil {
		return unlessEnded("the mount namespace of "+t.name(), err)
	}
	root, err := os.Readlink(t.dir + "/root")
	if err != nil {
		return unlessEnded("the root directory of "+t.name(), err)
	}
	view := namespace + root
	if s.seen[view] {
		return nil
	}
	// If this thread ends before its mounts are read, another one may see the same mounts.
	s.seen[view], err = s.mounts(t.dir, t.dir+"/root")
	return err
}

// mounts looks through the mounts that are listed in a directory of /proc, below root. It
// says whether they could be read.
func (s *NetnsSearch) mounts(dir, root string) (read bool, err error) {
	text, err := os.ReadFile(dir + "/mountinfo")
	if err != nil {
		return false, unlessEnded(dir+"/mountinfo", err)
	}
	for _, m := range proc.MountsIn(string(text)) {
		inode, ok := netnsInode(m.Root)
		if !ok || s.visited[inode] {
			continue
		}
		path := root + m.Point
		name := "network namespace " + strings.TrimPrefix(path, namedNetns+"/")
		if err := s.open(path, name); err != nil {
			return false, err
		}
		if _, known := s.hidden[inode]; !known && !s.visited[inode] {
			s.hidden[inode] = hiding{name: name, path: path, dir: dir}
		}
	}
	return true, nil
}

// hiding is a mount of a namespace that couldn't be opened: another may lie over it, or it
// may be gone by now.
type hiding struct {
	name string
	path string
	dir  string // in /proc, where it is listed
}

// mounted says whether it is still there.
func (h hiding) mounted(inode uint64) bool {
	text, err := os.ReadFile(h.dir + "/mountinfo")
	if err != nil {
		return unlessEnded(h.name, err) != nil
	}
	return slices.ContainsFunc(proc.MountsIn(string(text)), func(m proc.Mount) bool {
		listed, ok := netnsInode(m.Root)
		return ok && listed == inode
	})
}

// netnsInode reads what the kernel calls a network namespace, such as "net:[4026532008]".
func netnsInode(text string) (inode uint64, ok bool) {
	number, found := strings.CutPrefix(text, "net:[")
	if !found {
		return 0, false
	}
	inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64)
	return inode, err == nil
}

// namespaceOf looks at the network namespace that a thread is in.
func (s *NetnsSearch) namespaceOf(t task) error {
	name := "the network namespace of " + t.name()
	target, err := os.Readlink(t.dir + "/ns/net")
	if err != nil {
		return unlessEnded(name, err)
	}
	if inode, ok := netnsInode(target); ok && s.visited[inode] {
		return nil
	}
	return s.open(t.dir+"/ns/net", name)
}

// filesOf looks at the descriptors of a process, and of those of its threads that have others.
func (s *NetnsSearch) filesOf(t task) error {
	if t.id != t.process && sameFiles(t.id, t.process) {
		return nil
	}
	dir := t.dir + "/fd"
	files, err := os.ReadDir(dir)
	if err != nil {
		return unlessEnded("the descriptors of "+t.name(), err)
	}
	for _, f := range files {
		if err := s.file(t, f.Name()); err != nil {
			return err
		}
	}
	return nil
}

func (s *NetnsSearch) file(t task, number string) error {
	path := t.dir + "/fd/" + number
	name := "a network namespace that " + t.name() + " has open"
	target, err := os.Readlink(path)
	if err != nil {
		return unlessEnded(name, err)
	}
	if inode, ok := netnsInode(target); ok && s.visited[inode] {
		return nil
	}
	switch kind, _, _ := strings.Cut(target, ":"); {
	case kind == "socket":
		return s.socket(t, number, target)
	case kind == "net" || strings.HasPrefix(target, "/"):
	default:
		return nil
	}
	// A namespace that was opened where it is mounted goes by the path of the mount.
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_DONT_SYNC, unix.STATX_INO, &st); err != nil {
		return unlessEnded(name, err)
	}
	if unix.Mkdev(st.Dev_major, st.Dev_minor) != s.nsfs || s.visited[st.Ino] {
		return nil
	}
	return s.open(path, name)
}

// socket looks at the network namespace that a socket was made in.
func (s *NetnsSearch) socket(t task, number, inode string) error {
	if s.seen[inode] {
		return nil
	}
	name := "the network namespace of a socket of " + t.name()
	fd, err := t.socketNetns(number)
	if err != nil {
		if errors.Is(err, unix.EBADF) || errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EOPNOTSUPP) {
			return nil // closed meanwhile, and perhaps something else by now
		}
		return unlessEnded(name, err)
	}
	defer unix.Close(fd)
	s.seen[inode] = true
	return s.found(fd, name)
}

// task is a thread of a process.
type task struct {
	dir         string // in /proc
	process, id int
}

// ends says whether err came because the thread is ending. The kernel then answers EACCES to
// all that asks for its namespaces, and EINVAL for its mounts.
func (t task) ends(err error) bool {
	if !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EINVAL) {
		return false
	}
	stat, err := os.ReadFile(t.dir + "/stat")
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) || err == nil && exiting(string(stat))
}

// exiting reads the text of /proc/PID/stat (proc_pid_stat(5)). The name stands in parentheses
// and may hold any character. Behind it come the state and, six fields on, the kernel's flags
// of the thread.
func exiting(stat string) bool {
	const flagsField, flagExiting = 6, 0x4 // PF_EXITING
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) <= flagsField {
		return false
	}
	flags, err := strconv.ParseUint(fields[flagsField], 10, 32)
	return err == nil && flags&flagExiting != 0
}

func (t task) name() string { return fmt.Sprintf("process %d", t.process) }

// socketNetns opens the namespace of a thread's socket.
func (t task) socketNetns(number string) (fd int, err error) {
	n, err := strconv.Atoi(number)
	if err != nil {
		return -1, err
	}
	const pidfdThread = unix.O_EXCL // PIDFD_THREAD, from Linux 6.9 on
	flags := 0
	if t.id != t.process {
		flags = pidfdThread
	}
	process, err := unix.PidfdOpen(t.id, flags)
	if err != nil {
		return -1, err
	}
	defer unix.Close(process)
	socket, err := unix.PidfdGetfd(process, n, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(socket)
	return unix.IoctlRetInt(socket, unix.SIOCGSKNS)
}

// sameFiles says whether two threads have the same descriptors (kcmp(2)).
func sameFiles(a, b int) bool {
	const kcmpFiles = 2
	result, _, errno := unix.Syscall6(unix.SYS_KCMP, uintptr(a), uintptr(b), kcmpFiles, 0, 0, 0)
	return errno == 0 && result == 0
}

// eachTask calls f for every thread that can be seen.
func eachTask(f func(task) error) error {
	processes, err := numbersIn("/proc")
	if err != nil {
		return &NetnsError{What: "/proc", Err: err}
	}
	for _, process := range processes {
		dir := fmt.Sprintf("/proc/%d/task", process)
		threads, err := numbersIn(dir)
		if err := unlessEnded(dir, err); err != nil {
			return err
		}
		for _, id := range threads {
			t := task{dir: fmt.Sprintf("%s/%d", dir, id), process: process, id: id}
			if err := f(t); err != nil && !t.ends(err) {
				return err
			}
		}
	}
	return nil
}

func numbersIn(dir string) ([]int, error) {
	entries, err := os.ReadDir(dir)
	var numbers []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			numbers = append(numbers, n)
		}
	}
	return numbers, err
}

// firstPIDNamespace is its inode number (PROC_PID_INIT_INO).
const firstPIDNamespace = 0xEFFFFFFC

// checkProcessesSeen says whether /proc lists all processes of the machine.
func checkProcessesSeen() error {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &st); err != nil {
		return &NetnsError{What: "/proc/self/ns/pid", Err: err}
	}
	if st.Ino != firstPIDNamespace {
		return &NetnsError{What: "what is outside of this PID namespace", Err: errors.New("it shows no other processes"),
			Remedy: "run it where all processes are seen: on the host, or in a container with the host's PID namespace"}
	}
	if privilege.OwnCapabilities()&(1<<unix.CAP_SYS_PTRACE) != 0 {
		return nil
	}
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return &NetnsError{What: "/proc/self/mountinfo", Err: err}
	}
	for _, m := range proc.MountsIn(string(text)) {
		if m.Point == "/proc" && m.Kind == "proc" && strings.Contains(m.Options, "hidepid=") {
			return &NetnsError{What: "the processes of others", Err: errors.New("/proc is mounted with hidepid, and CAP_SYS_PTRACE is missing")}
		}
	}
	return nil
}
