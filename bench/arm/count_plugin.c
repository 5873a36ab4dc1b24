/* Counts the instructions that a program executes under qemu-user, and those of them that multiply
 * vectors of integers: tools/count_arm.
 *
 *   qemu-aarch64 -plugin count_plugin.so,out=FILE program ...
 *
 * Idea: qemu hands each block of instructions to a plugin once, when it translates it; a counter is
 * raised by the block's number of instructions whenever the block runs. Exact for one thread.
 * Reference: QEMU 7.2, "QEMU TCG Plugins" (docs/devel/tcg-plugins.rst). Debian ships no header for
 * plugins, so what is used of version 1 of the interface is declared here. SDOT and SMLAL: Arm
 * Architecture Reference Manual, C7.2. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*tb_trans_callback)(qemu_plugin_id_t id, struct qemu_plugin_tb* tb);
typedef void (*exit_callback)(qemu_plugin_id_t id, void* data);
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, tb_trans_callback callback);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb* tb, enum qemu_plugin_op op,
                                              void* counter, uint64_t added);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, exit_callback callback, void* data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb* tb);
struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb* tb, size_t index);
const void* qemu_plugin_insn_data(const struct qemu_plugin_insn* insn);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;
int qemu_plugin_install(qemu_plugin_id_t id, const void* info, int argc, char** argv);

static uint64_t all, dot_products, long_products;
static char path[4096];

static void on_block(qemu_plugin_id_t id, struct qemu_plugin_tb* tb) {
  const size_t count = qemu_plugin_tb_n_insns(tb);
  uint64_t sdot = 0, smlal = 0;
  (void)id;
  for (size_t i = 0; i < count; ++i) {
    uint32_t code = 0;
    memcpy(&code, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(tb, i)), sizeof code);
    /* sdot by vector and by element */
    sdot += (code & 0xbfe0fc00u) == 0x0e809400u || (code & 0xbfc0f400u) == 0x0f80e000u;
    /* smlal, smlal2 from 16 to 32 bits, by vector and by element */
    smlal += (code & 0xbfe0fc00u) == 0x0e608000u || (code & 0xbfc0f400u) == 0x0f402000u;
  }
  qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &all, count);
  if (sdot > 0) {
    qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &dot_products, sdot);
  }
  if (smlal > 0) {
    qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &long_products, smlal);
  }
}

static void on_exit_of_program(qemu_plugin_id_t id, void* data) {
  FILE* file = fopen(path, "w");
  (void)id;
  (void)data;
  if (file == NULL) return;
  (void)fprintf(file, "%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", all, dot_products, long_products);
  (void)fclose(file);
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id,
                                                               const void* info, int argc,
                                                               char** argv) {
  (void)info;
  if (argc != 1 || strncmp(argv[0], "out=", 4) != 0 || strlen(argv[0]) - 4 >= sizeof path) {
    (void)fprintf(stderr, "count_plugin: expected out=FILE\n");
    return -1;
  }
  strcpy(path, argv[0] + 4);
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_block);
  qemu_plugin_register_atexit_cb(id, on_exit_of_program, NULL);
  return 0;
}
