#pragma once
// A kernel's functions by the types of its arguments.

namespace pyrec {

template <class Args>
struct function_entry {
  void (*run)(const Args&);
};

// function_table<args<float>, args<double>> kernel{f<float>, f<double>}; kernel(a) calls the one for a's type.
template <class... Args>
struct function_table : private function_entry<Args>... {
  constexpr function_table(void (*... run)(const Args&)) : function_entry<Args>{run}... {}

  template <class A>
  void operator()(const A& args) const {
    function_entry<A>::run(args);
  }
};

}  // namespace pyrec
