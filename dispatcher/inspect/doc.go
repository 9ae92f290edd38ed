// Package inspect reads BPF object files without loading them: which programs and maps
// they hold, and which of the programs would load into a chain. It needs no privilege, and
// no kernel that knows BPF.
package inspect
