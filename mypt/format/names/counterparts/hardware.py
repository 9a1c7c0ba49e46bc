"""What the settings of devices, precision and processes are called."""

from mypt.format.names.counterparts.counterpart import Counterpart

_PRECISION = (
    "weights are float32; on a GPU, steps are computed in {amp_dtype}, unless {use_amp} is false"
)
_PROCESSES = "start several processes: torchrun --nproc-per-node=N -m mypt train ..."

HARDWARE = (
    Counterpart(
        ours="device",
        hugging_face="use_cpu no_cuda device_map",
        karpathy="device_type",
        habits="cpu cuda gpu gpus accelerator use_cuda use_gpu use_mps mps",
    ),
    Counterpart(
        ours="amp_dtype",
        how=_PRECISION,
        nanogpt="dtype",
        hugging_face="bf16 fp16 torch_dtype dtype",
        litgpt="precision",
        karpathy="dtype tensorcores fp8",
        habits="mixed_precision amp autocast half float16 bfloat16 tf32",
    ),
    Counterpart(
        ours="dtype",
        hugging_face="torch_dtype",
        litgpt="precision",
        earlier="force_fp16",
        habits="half fp16 bf16 float16 bfloat16",
    ),
    Counterpart(
        ours="int8",
        hugging_face="load_in_8bit load_in_4bit",
        litgpt="quantize",
        habits="quantization quant quantized bits int4 8bit",
    ),
    Counterpart(
        ours="compile",
        hugging_face="torch_compile",
        habits="use_compile torch_compile_mode",
    ),
    Counterpart(
        how="only training compiles; what generates is made for single tokens as it is",
        nanogpt="compile",
        hugging_face="torch_compile",
        litgpt="compile",
        karpathy="compile",
    ),
    Counterpart(
        ours="activation_checkpointing",
        hugging_face="gradient_checkpointing",
        karpathy="recompute",
        habits="grad_checkpointing checkpoint_activations use_checkpoint",
    ),
    Counterpart(
        ours="shard",
        how="the processes of torchrun share each batch, and with it the model too",
        hugging_face="fsdp deepspeed",
        karpathy="zero_stage",
        habits="zero strategy ddp distributed",
    ),
    Counterpart(
        how=_PROCESSES,
        hugging_face="local_rank",
        litgpt="devices num_nodes",
        habits="nproc_per_node nproc num_gpus n_gpus world_size nnodes num_processes",
    ),
    Counterpart(
        how="it follows from the device: nccl between GPUs, gloo between others",
        nanogpt="backend",
        hugging_face="ddp_backend",
        habits="dist_backend",
    ),
    Counterpart(
        how="attention is torch's scaled_dot_product_attention, which chooses the kernel itself",
        hugging_face="attn_implementation",
        karpathy="flash",
        habits="flash_attention flash_attn use_flash sdpa",
    ),
)
