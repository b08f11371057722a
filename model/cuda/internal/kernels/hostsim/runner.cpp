// runner.cpp: a program that runs kernels for kernels_test.go over a pipe, one
// command a line, each answered by one line; binary data follows its line.
//
//   list                                   one line per kernel: name, signature, threads; then "end"
//   alloc BYTES                            "ok ADDRESS", between guard pages
//   write ADDRESS BYTES                    then the bytes
//   read ADDRESS BYTES                     answered by the bytes after the line
//   reset                                  checks the bytes around every allocation, frees all
//   launch NAME gx gy gz bx by bz SHARED SEED THREADS CELL…
//                                          "ok", or "fail MESSAGE"; a cell is 8 bytes in hexadecimal
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <iostream>
#include <sstream>
#include <vector>

#include "hostsim.h"

static const size_t kPage = 4096;
static const unsigned char kFill = 0x5C;  // the bytes between the end and the guard page

struct Allocation {
  char* map;
  size_t mapped;
  char* at;
  size_t bytes;
};
static std::vector<Allocation> allocations;
static char running[256] = "no kernel";

// A guard page was hit: say by which kernel, then end.
static void on_fault(int, siginfo_t* info, void*) {
  char text[400];
  int n = snprintf(text, sizeof text, "fail %s: access outside of every buffer, at %p\n", running, info->si_addr);
  if (write(1, text, n) != n) _exit(4);
  _exit(3);
}

// alloc ends at a guard page but for what 16-byte alignment leaves, which is
// filled with a pattern.
static char* alloc(size_t bytes) {
  size_t room = (bytes + 15) / 16 * 16, pages = (room + kPage - 1) / kPage * kPage;
  if (!pages) pages = kPage;
  Allocation a;
  a.mapped = pages + 2 * kPage;
  a.map = (char*)mmap(nullptr, a.mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (a.map == MAP_FAILED || mprotect(a.map + kPage, pages, PROT_READ | PROT_WRITE)) return nullptr;
  a.at = a.map + kPage + pages - room;
  a.bytes = bytes;
  memset(a.map + kPage, kFill, pages);
  allocations.push_back(a);
  return a.at;
}

static bool inside(uintptr_t at, size_t bytes) {
  for (const Allocation& a : allocations)
    if (at >= (uintptr_t)a.at && at + bytes <= (uintptr_t)a.at + a.bytes) return true;
  return false;
}

static std::string reset() {
  std::string bad;
  for (const Allocation& a : allocations) {
    for (char* p = a.map + kPage; p < a.map + a.mapped - kPage; p++)
      if ((p < a.at || p >= a.at + a.bytes) && *p != (char)kFill) bad = std::string("fail ") + running + ": a write next to a buffer";
    munmap(a.map, a.mapped);
  }
  allocations.clear();
  return bad.empty() ? "ok" : bad;
}

static std::string launch(std::istringstream& in) {
  std::string name;
  hs::Launch how;
  in >> name >> how.grid.x >> how.grid.y >> how.grid.z >> how.block.x >> how.block.y >> how.block.z >>
      how.dynamic_shared >> how.seed >> how.os_threads;
  auto k = hs::kernels().find(name);
  if (k == hs::kernels().end()) return "fail no kernel " + name;
  std::vector<uint64_t> cells;
  for (std::string word; in >> word;) cells.push_back(strtoull(word.c_str(), nullptr, 16));
  if (cells.size() != k->second.signature.size()) return "fail " + name + ": wrong number of parameters";
  std::vector<void*> pointers;
  for (uint64_t& c : cells) pointers.push_back(&c);
  snprintf(running, sizeof running, "%s", name.c_str());
  std::string e = hs::launch(k->second, pointers.data(), how);
  return e.empty() ? "ok" : "fail " + e;
}

int main() {
  struct sigaction sa = {};
  sa.sa_sigaction = on_fault;
  sa.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGSEGV, &sa, nullptr);
  sigaction(SIGBUS, &sa, nullptr);
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    std::string command;
    in >> command;
    if (command == "list") {
      for (auto& k : hs::kernels()) std::cout << k.first << ' ' << k.second.signature << ' ' << k.second.max_threads << '\n';
      std::cout << "end\n";
    } else if (command == "alloc") {
      size_t n = 0;
      in >> n;
      std::cout << "ok " << (uintptr_t)alloc(n) << '\n';
    } else if (command == "write" || command == "read") {
      uintptr_t at = 0;
      size_t n = 0;
      in >> at >> n;
      if (!inside(at, n)) {
        std::cout << "fail " << command << " outside of every buffer\n";
        std::cin.ignore(command == "write" ? n : 0);
      } else if (command == "write") {
        std::cin.read((char*)at, n);
        std::cout << "ok\n";
      } else {
        std::cout << "ok\n";
        std::cout.write((const char*)at, n);
      }
    } else if (command == "reset") {
      std::cout << reset() << '\n';
    } else if (command == "launch") {
      std::cout << launch(in) << '\n';
    } else {
      std::cout << "fail unknown command " << command << '\n';
    }
    std::cout.flush();
  }
}
