package proc

import (
	"os"
	"strconv"
	"strings"
)

// PossibleProcessors is how many processors the kernel is prepared for (nr_cpu_ids): one more than
// the largest number that one can have.
func PossibleProcessors() (int, error) {
	text, err := os.ReadFile("/sys/devices/system/cpu/possible") // such as 0-3
	if err != nil {
		return 0, err
	}
	list := strings.TrimSpace(string(text))
	last, err := strconv.Atoi(list[strings.LastIndexAny(list, "-,")+1:])
	return last + 1, err
}
