package loaded

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
)

// All that is opened by its id is opened here. The kernel does that for CAP_SYS_ADMIN alone: any
// other process gets privilege.ByID, without a call that security modules would record.

// OpenProg opens the program with that id. ENOENT: there is none any more. The others are the same
// for maps, links and type information. Errors: [xdp.ErrPermission].
func OpenProg(id uint32) (*libbpf.FD, error) { return byID(id, libbpf.ProgByID) }

func OpenMap(id uint32) (*libbpf.FD, error) { return byID(id, libbpf.MapByID) }

func OpenLink(id uint32) (*libbpf.FD, error) { return byID(id, libbpf.LinkByID) }

func OpenBTF(id uint32) (*libbpf.BTF, error) { return byID(id, libbpf.LoadBTF) }

// NextProg is the smallest id of a program above id. ENOENT: there are no more. NextLink is the
// same for links, NextMap for maps. Errors: [xdp.ErrPermission].
func NextProg(id uint32) (uint32, error) { return byID(id, libbpf.NextProgID) }

func NextLink(id uint32) (uint32, error) { return byID(id, libbpf.NextLinkID) }

func NextMap(id uint32) (uint32, error) { return byID(id, libbpf.NextMapID) }

func byID[T any](id uint32, call func(uint32) (T, error)) (T, error) {
	if !privilege.OpensByID() {
		var none T
		return none, privilege.ByID(unix.EPERM)
	}
	t, err := call(id)
	if errors.Is(err, unix.EPERM) { // as in a user namespace
		err = privilege.ByID(err)
	}
	return t, err
}
