// Package proc reads the texts of /proc that tell of mounts, descriptors and clocks, and that of /sys
// which tells of processors.
package proc
