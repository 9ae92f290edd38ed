// Package dispatcher lets several XDP programs share one network interface.
//
// The interface's one place for a program is taken by libxdp's dispatcher, which
// calls up to ten component programs in the order of their run priority: the
// chain. A program's chain call actions are the verdicts after which the next
// program runs; any other verdict is final. The chain is the same that
// xdp-loader and every other program on libxdp sees and changes.
//
// [Attach] adds programs to an interface, all or none, and [AttachAll] to several.
// [Status] and [StatusAll] tell what runs. [Detach] and [DetachAll] take programs away.
// A [Transaction] makes any change of a chain in one step, and tells beforehand what it
// would be. [Clean] removes the pins of interfaces that are gone.
//
// The words of all that, such as Program, Actions and Mode, are in package
// [github.com/xdpmux/xdpmux/dispatcher/xdp]. Beside it stand packages inspect (object files
// without loading them), maps (maps of programs that run), check (can a chain run here),
// observe (counters and traces) and desired (the declared state). docs/architecture.md has
// the picture.
//
// This package is the engine that changes chains: reading what is there, arranging what is
// to be, assembling a dispatcher, swapping it in, explaining what went wrong and taking back
// belong to one operation, and its files use each other in a circle. Everything that doesn't
// change a chain is in a package of its own.
//
// # Errors
//
// An error that a user can do something about is an [*xdp.Error]: its text says what
// is wrong, Remedy what to do, and errors.Is tells its kind ([xdp.ErrChainFull] and
// the other sentinels) as well as the errno behind it.
//
// # Concurrency
//
// All functions may be called from several goroutines at once. libxdp isn't safe
// for that (it caches the bpffs directory and its kernel check in static
// variables), so the package holds one lock around every call that reaches
// libxdp; reading from netlink and from BPF objects happens outside of it.
// Between processes libxdp's own lock, a flock on the bpffs directory, does the
// same; waiting for it ends with the context of the call. Names of interfaces belong to the network namespace of the calling
// thread: a goroutine that has changed it must stay locked to its thread.
//
// # Privileges
//
// Everything but opening an object needs CAP_BPF, CAP_NET_ADMIN and, because
// running programs are found by their id, CAP_SYS_ADMIN.
package dispatcher
