package loaded

import "github.com/xdpmux/xdpmux/cgo/libbpf"

// ProgInfo is what the kernel knows of the program with that id. ENOENT: there is none any
// more. MapInfo and linkInfo are the same for maps and links.
func ProgInfo(id uint32) (*libbpf.ProgInfo, error) {
	return infoByID(id, libbpf.ProgByID, libbpf.ProgInfoByFD)
}

func MapInfo(id uint32) (*libbpf.MapInfo, error) {
	return infoByID(id, libbpf.MapByID, libbpf.MapInfoByFD)
}

func linkInfo(id uint32) (*libbpf.LinkInfo, error) {
	return infoByID(id, libbpf.LinkByID, libbpf.LinkInfoByFD)
}

func infoByID[Info any](id uint32, open func(uint32) (*libbpf.FD, error), info func(int) (*Info, error)) (*Info, error) {
	fd, err := open(id)
	if err != nil {
		return nil, err
	}
	defer fd.Close()
	return info(fd.Int())
}
