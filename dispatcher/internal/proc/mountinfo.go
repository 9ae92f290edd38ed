package proc

// Mount is a line of /proc/PID/mountinfo.
type Mount struct {
	Root    string // what of the file system is mounted
	Point   string // where
	Kind    string // of file system
	Options string // of the file system, not of the mount
}
