// Package pending makes changes of chains that are taken back unless somebody confirms them
// in time, as routers do with "commit confirmed".
//
// [Begin] starts such a change. [Change.Hold], as the Changing of a
// [dispatcher.Transaction] and of the other calls that change chains, keeps what is there
// before it goes: the dispatcher, its programs and their links are pinned. [Change.Made] ends
// the changing and starts the time. From then on [Change.Confirm] makes the change last, and
// [Change.TakeBack] puts back what was there, in one swap and with the same programs, maps
// and ids. [Change.Await] waits for one or the other, and takes the change back itself when
// its time is over.
//
// What is pending is on disk, below /run/xdpmux/pending, and in the bpffs. So it outlives the
// process that made the change: any other one can [Open] or [Find] it. A process that waits
// with Await holds a lock; [Tend] finds the changes for which nobody waits any more.
//
// Times are those of CLOCK_BOOTTIME, so that setting the clock moves no end. Indices of
// interfaces belong to a network namespace: a change is ended from the one in which it was
// made.
package pending
