package dispatcher

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// perSwap is how many descriptors a swap under way has open at most: the programs and the links of
// two chains, and what their dispatchers consist of.
const perSwap = 2 * (2*xdp.MaxPrograms + 4)

// allowSwaps raises the process's limit of open files (setrlimit(2)), as far as that can be done, to
// what so many swaps need at once. Without CAP_SYS_RESOURCE the hard limit stays.
func allowSwaps(n int) {
	const others = 256
	need := uint64(n*perSwap + others)
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil || limit.Cur >= need {
		return
	}
	for _, most := range []uint64{max(limit.Max, need), limit.Max} {
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: min(need, most), Max: most}) == nil {
			return
		}
	}
}

// spare is how many descriptors the swaps themselves take, and taking them back.
const spare = 32

// haveSpare fails where descriptors would run out in the middle of the swaps.
func haveSpare() error {
	var all []int
	defer func() {
		for _, fd := range all {
			unix.Close(fd)
		}
	}()
	for range spare {
		fd, err := unix.Open("/", unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		all = append(all, fd)
	}
	return nil
}

// tooManySwaps is the error where a limit of open files stands in the way of so many swaps.
func tooManySwaps(n int, err error) error {
	if !errors.Is(err, unix.EMFILE) {
		return err
	}
	return &xdp.Error{Kind: xdp.ErrSystem, Err: err, Msg: fmt.Sprintf("%d interfaces at once take more open files than this process may have", n),
		Remedy: "name fewer interfaces in a call, or allow more open files: ulimit -n"}
}
