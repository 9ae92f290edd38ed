// Package proc reads the texts of /proc that tell of mounts and descriptors.
package proc
