// Package dispatcher lets several XDP programs share one network interface.
//
// An interface has room for one XDP program. libxdp's dispatcher takes that place and calls
// up to ten component programs in the order of their run priority: the chain. A program's
// chain call actions are the verdicts after which the next program runs; any other verdict
// is final. The chains are libxdp's own: xdp-loader and every other program on libxdp sees
// and changes the same ones.
//
// [Attach] adds programs to an interface, all or none, and [AttachAll] to several
// interfaces. [Status] and [StatusAll] tell what runs. [Detach] and [DetachAll] take
// programs away. A [Transaction] makes any change of a chain in one step, and its Preview
// tells beforehand what the chain would be. [Clean] removes what interfaces that are gone
// have left behind.
//
// Package [github.com/xdpmux/xdpmux/dispatcher/xdp] has the words of all that, such as
// Program, Actions and Mode. Beside it stand packages inspect (object files, read without
// loading them), maps (maps of programs that run), check (can a chain run here), observe
// (counters and traces) and desired (the declared state). docs/architecture.md has the
// picture.
//
// # Errors
//
// An error that a user can do something about is an [*xdp.Error]. Its text says what is
// wrong, Remedy what to do. errors.Is tells its kind ([xdp.ErrChainFull] and the other
// sentinels) as well as the errno behind it, and [VerifierLog] gives the verifier's words.
// A remedy may name something of this module, such as another mode. Then Hints let a program
// say what its own users call that ([xdp.RemedyWith]).
//
// # Concurrency
//
// All functions may be called from several goroutines at once. Processes wait for each
// other by libxdp's own lock, a flock on its directory in the bpffs; the wait ends with the
// context of the call. A chain that somebody else changes meanwhile is read anew, and the
// change is tried again.
//
// Names of interfaces belong to the network namespace of the calling thread. A goroutine
// that has changed it, as [EnterNetns] does, must stay locked to its thread.
//
// # Privileges
//
// A change of a chain needs CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON, for chains that xdpmux has
// loaded. It takes CAP_SYS_ADMIN, which includes the latter two, for chains of other tools, for
// programs without a dispatcher, and for maps. [Clean] needs CAP_SYS_PTRACE too. Package inspect
// needs none of them. Package check tells which of them are missing.
package dispatcher
