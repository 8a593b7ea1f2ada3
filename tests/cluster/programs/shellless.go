// shellless is an algorithm in an image that holds nothing else: no shell, no tool, no library. It proves that an
// algorithm needs none.
//
//	shellless [exit=N] [allocate=MEBIBYTES] [WORD...]
//
// It prints its arguments one a line, writes the same lines to $OUTPUTS/arguments.txt when OUTPUTS is set, touches as much
// memory as asked, and ends with N.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

func main() {
	code, mebibytes := 0, 0
	for _, argument := range os.Args[1:] {
		if name, value, found := strings.Cut(argument, "="); found {
			number, err := strconv.Atoi(value)
			if err == nil && name == "exit" {
				code = number
			}
			if err == nil && name == "allocate" {
				mebibytes = number
			}
		}
	}
	lines := strings.Join(os.Args[1:], "\n") + "\n"
	fmt.Print(lines)
	if outputs := os.Getenv("OUTPUTS"); outputs != "" {
		if err := os.WriteFile(filepath.Join(outputs, "arguments.txt"), []byte(lines), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	memory := make([]byte, mebibytes<<20)
	for at := 0; at < len(memory); at += 4096 {
		memory[at] = 1
	}
	os.Exit(code)
}
