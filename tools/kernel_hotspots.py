#!/usr/bin/env python3
"""Where a CUDA kernel's time goes, by source line: samples of its warps, what they waited for, and
how often a warp executed the line.

    tools/kernel_hotspots.py KERNEL OBJECT -- PROGRAM ARGUMENTS...
    tools/kernel_hotspots.py KERNEL OBJECT --report SOURCE_CSV --disassembly TEXT

Runs the program under Nsight Compute (ncu), takes one launch of the kernel whose name matches
KERNEL, and names lines by the line table of OBJECT (an object file or cubin built with -lineinfo;
cuobjdump and nvdisasm read it). With --report and --disassembly it works on what was kept of an
earlier run: `ncu --page source --csv` and `nvdisasm -gi -c`.

Inlined code is counted for the line in the kernel's own files that it was inlined to: --files says
which those are (a prefix of their names), --depth how far in.
"""

import argparse
import collections
import csv
import os
import re
import subprocess
import sys
import tempfile

SAMPLES, EXECUTED = "# Samples", "Instructions Executed"
LINE = re.compile(r'\s*//## File "([^"]+)", line (\d+)')
INSTRUCTION = re.compile(r"\s*/\*([0-9a-f]{4,})\*/\s+(.*?);")


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kernel", help="part of the kernel's name")
    parser.add_argument("object", help="object file or cubin with the kernel")
    parser.add_argument("--files", default="", help="prefix of the files that count")
    parser.add_argument("--depth", type=int, default=4, help="lines of a chain of inlined calls")
    parser.add_argument("--top", type=int, default=40, help="lines printed")
    parser.add_argument("--skip", type=int, default=40, help="launches before the one taken")
    parser.add_argument("--report", help="kept output of ncu")
    parser.add_argument("--disassembly", help="kept output of nvdisasm")
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    arguments = parser.parse_args(given[:end])
    arguments.program = given[end + 1 :]
    if bool(arguments.report) != bool(arguments.disassembly):
        parser.error("--report and --disassembly come together")
    if not arguments.report and not arguments.program:
        parser.error("no program to run")
    return arguments


def run(command, **options):
    try:
        return subprocess.run(
            command, check=True, text=True, stdout=subprocess.PIPE, **options
        ).stdout
    except FileNotFoundError:
        sys.exit(f"{command[0]} is not here; it comes with the CUDA toolkit")
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(command)} failed with {error.returncode}\n{error.stdout or ''}")


def profile(arguments, folder):
    """The report of one launch, as CSV, a line an instruction."""
    report = os.path.join(folder, "launch")
    collect = ["ncu", "--graph-profiling", "node", "--clock-control", "none", "-f", "-o", report]
    collect += ["--kernel-name", "regex:" + arguments.kernel, "--launch-count", "1"]
    collect += ["--launch-skip", str(arguments.skip), "--section", "SourceCounters"]
    collect += ["--warp-sampling-interval", "0"]
    run(collect + arguments.program, stderr=subprocess.DEVNULL)
    return run(["ncu", "-i", report + ".ncu-rep", "--page", "source", "--csv"])


def disassemble(path, folder):
    """The object's code with the lines that instructions come from."""
    if not path.endswith(".cubin"):
        run(["cuobjdump", "-xelf", "all", os.path.abspath(path)], cwd=folder)
        cubins = [name for name in os.listdir(folder) if name.endswith(".cubin")]
        if not cubins:
            sys.exit(f"{path}: no code for a GPU")
        path = os.path.join(folder, cubins[0])
    return run(["nvdisasm", "-gi", "-c", path], stderr=subprocess.DEVNULL)


def instruction_lines(disassembly, kernel):
    """For each kernel of that name, for each of its instructions, the lines it was inlined through,
    innermost first."""
    kernels, chain, continues, inside = [], [], False, False
    for text in disassembly.splitlines():
        if text.startswith(".text."):
            inside = kernel in text
            if inside:
                kernels.append([])
            continue
        if not inside:
            continue
        line = LINE.match(text)
        if line:
            chain = (chain if continues else []) + [
                (os.path.basename(line.group(1)), int(line.group(2)))
            ]
            continues = True
        elif INSTRUCTION.match(text):
            kernels[-1].append(chain)
            continues = False
    return kernels


def read_report(text):
    """Column names, and the rows of the instructions."""
    rows = [row for row in csv.reader(text.splitlines()) if row]
    start = next((i for i, row in enumerate(rows) if row[0] == "Address"), None)
    if start is None:
        sys.exit("ncu printed no instructions: " + text[:200])
    return rows[start], rows[start + 1 :]


def place_of(chain, arguments):
    """The chain from the kernel inwards, as far as its files count."""
    own = [f"{name}:{line}" for name, line in reversed(chain) if name.startswith(arguments.files)]
    return " ".join(own[: arguments.depth]) or "?"


class Place:
    def __init__(self):
        self.samples = self.executed = self.instructions = 0
        self.waits = collections.Counter()


def main():
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.report:
            with open(arguments.report) as report, open(arguments.disassembly) as disassembly:
                texts = report.read(), disassembly.read()
        else:
            texts = profile(arguments, folder), disassemble(arguments.object, folder)
    names, rows = read_report(texts[0])
    kernels = instruction_lines(texts[1], arguments.kernel)
    chains = next((chains for chains in kernels if len(chains) == len(rows)), None)
    if chains is None:
        counts = ", ".join(str(len(chains)) for chains in kernels) or "none"
        sys.exit(f"the launch has {len(rows)} instructions, kernels of {arguments.object} {counts}")
    column = {name: i for i, name in enumerate(names)}
    waits = [n for n in names if n.startswith("stall_") and "Not Issued" not in n]
    places = collections.defaultdict(Place)
    for row, chain in zip(rows, chains):
        place = places[place_of(chain, arguments)]
        place.samples += int(row[column[SAMPLES]])
        place.executed += int(row[column[EXECUTED]])
        place.instructions += 1
        for wait in waits:
            place.waits[wait[len("stall_") :]] += int(row[column[wait]])
    total = max(1, sum(place.samples for place in places.values()))
    print("samples  executed  static  waits for                          where")
    for name, place in sorted(places.items(), key=lambda p: -p[1].samples)[: arguments.top]:
        if place.samples == 0:
            break
        most = ", ".join(f"{w} {100 * n // place.samples} %" for w, n in place.waits.most_common(2))
        print(
            f"{100 * place.samples / total:6.2f} % {place.executed:9} {place.instructions:7}  {most:34} {name}"
        )


if __name__ == "__main__":
    main()
